# More lines than elements that a page can hold.
print("\n".join("line %d" % n for n in range(100000)))
