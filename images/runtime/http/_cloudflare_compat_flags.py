"""A truth for each of the platform's compatibility flags; set_flags is called before a worker is imported."""

_BY_DATE = {
    "python_no_global_handlers": "2025-08-14",
    "python_workflows": "2025-09-20",
    "python_request_headers_preserve_commas": "2026-02-17",
    "python_workflows_implicit_dependencies": "2026-02-25",
    "enable_python_external_sdk": "2026-04-21",
    "python_process_pth_files": "2026-05-26",
}


def set_flags(date, flags):
    """Sets all flags: those that are on from a date, and those that a worker names."""
    wanted = {name: bool(date) and date >= since for name, since in _BY_DATE.items()}
    for flag in flags:
        wanted[flag] = True
    for flag in flags:
        for prefix in ("no_", "disable_"):
            if flag.startswith(prefix):
                wanted[flag[len(prefix):]] = False
                wanted["enable_" + flag[len(prefix):]] = False
    globals().update(wanted)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return False


set_flags("9999-12-31", ())
