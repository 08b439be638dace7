"""Packages that only an extra installs: imported when something needs them, or refused with what would install them."""

from importlib import import_module
from typing import Any

from jaxsweep.errors import RequestError


def extra(package: str, what: str, name: str | None = None) -> Any:
    """Return a package that need not be installed.

    Args:
        package: as it is imported.
        what: that needs it, as a sentence begins with it.
        name: of the extra of jaxsweep that installs it; by default the package's own.

    Raises:
        RequestError: it is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise RequestError(
            f"{what} needs the package {package}, which is not installed: pip install 'jaxsweep[{name or package}]'"
        ) from None
