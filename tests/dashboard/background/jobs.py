from atasker import background_worker


@background_worker(q=True)
def send(item, **kwargs):
    if item != "good":
        raise ValueError("not liked: %r" % (item,))


@background_worker(e=True)
def rings(**kwargs):
    pass
