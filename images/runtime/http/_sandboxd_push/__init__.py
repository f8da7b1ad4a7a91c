"""What a push makes of a folder with a dotcloud.yml, in a sandbox of the project's own: services and their packages."""


class PushError(Exception):
    """The user's to mend.  line and column count from 1, in dotcloud.yml; text is that line."""

    def __init__(self, message, line=None, column=None, text=None):
        Exception.__init__(self, message)
        self.message, self.line, self.column, self.text = message, line, column, text
