"""The browsable API page: a folder of static files, Swagger UI from the package flask-swagger-ui and our openapi.yaml.

Nothing is loaded from anywhere else: the page's own policy (CSP) allows its own origin alone.
"""

import base64
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from keyrail.dev.openapi import document
from keyrail.dev.yaml_text import yaml_text

_ASSETS = ("swagger-ui-bundle.js", "favicon-32x32.png", "LICENSE")
_DATA_URL = re.compile(r"""url\((["']?)data:image/(\w+)[^,]*?(;base64)?,(.*?)\1\)""")

_INDEX = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Keyrail API</title>
<link rel="icon" href="favicon-32x32.png">
<link rel="stylesheet" href="swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="page.js"></script>
</body>
</html>
"""
_SCRIPT = """\
SwaggerUIBundle({
  url: "openapi.yaml",
  dom_id: "#page",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


class NoAssets(Exception):
    """The package that ships Swagger UI is not installed."""


def write_api_page(folder: Path) -> None:
    """Into `folder`, made where it is missing; files of the same names are replaced. Raises: NoAssets."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = _assets()
    for name in _ASSETS:
        shutil.copyfile(assets / name, folder / name)
    style = _with_images_apart((assets / "swagger-ui.css").read_text(encoding="utf-8"), folder)
    files = {"index.html": _INDEX, "page.js": _SCRIPT, "swagger-ui.css": style, "openapi.yaml": yaml_text(document())}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _with_images_apart(style: str, folder: Path) -> str:
    """The style sheet with each image that it carries inside, as a data: URL, in a file of its own instead."""
    names: dict[bytes, str] = {}

    def apart(match: re.Match[str]) -> str:
        _, kind, is_base64, text = match.groups()
        image = base64.b64decode(text) if is_base64 else unquote(text).encode()
        name = names.setdefault(image, f"image-{len(names)}.{kind}")
        (folder / name).write_bytes(image)
        return f"url({name})"

    return _DATA_URL.sub(apart, style)


def _assets() -> Path:
    spec = find_spec("flask_swagger_ui")  # found, not imported: only its files are of use here
    if spec is None or spec.origin is None:
        raise NoAssets("the API page needs the package flask-swagger-ui: pip install 'keyrail[dev]'")
    return Path(spec.origin).parent / "dist"
