"""What turns a folder with wrangler.toml, wrangler.json or config.capnp into an HTTP worker's version.

It runs in a sandbox of the project's own: reading the configuration, finding the dependencies and
packing never happen in the daemon, which is sent a manifest and an archive and trusts neither.

    read        wrangler.toml, wrangler.json and wrangler.jsonc, with the line of each key
    capnp       workerd's configuration, in the text form of Cap'n Proto
    manifest    both, and the metadata of an upload, as one manifest
    files       which files of the folder go along
    imports     the modules that a source imports
    versions    versions, requirements and markers as pip has them
    resolve     dependencies: the image's own, or into python_modules
    compiled    bytecode of what is packed
    build       the steps in their order, told to the front
"""


class DeployError(Exception):
    """What is wrong in what the user has written, where, and what to do."""

    def __init__(self, message, file=None, line=None, column=None):
        super().__init__(message)
        self.message, self.file, self.line, self.column = message, file, line, column

    def __str__(self):
        where = [str(part) for part in (self.file, self.line, self.column) if part]
        return "%s: %s" % (":".join(where), self.message) if where else self.message
