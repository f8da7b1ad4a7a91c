"""What serves an HTTP worker inside its sandbox; instance.py is where a run of the kind begins.

User code cannot shadow these modules: they are imported before the user's folders are in sys.path, under names
that begin with _sandboxd_.
"""
