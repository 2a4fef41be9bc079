"""How Sphinx builds these pages: `make docs`, which takes any warning for an error.

The pages are plain Markdown, to be read in the repository as well; what only Sphinx understands is the contents at the
end of ``index.md`` and the descriptions in ``reference/python.md``.
"""

import re
from importlib import metadata
from pathlib import Path

project = "online-lstm"
version = release = metadata.version(project)
author = copyright = re.findall(r"Copyright \(c\) (.+)", (Path(__file__).parent.parent / "LICENSE").read_text())[0]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generate", "examples", "images", "jupyter_execute"]  # the last is of myst_nb
myst_heading_anchors = 4  # a link like learning.md#what-it-costs leads where it does in the repository

nb_execution_mode = "force"  # pages with a kernelspec are notebooks
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures are not links: most are defined elsewhere

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "default"
pygments_dark_style = "github-dark"
