"""How Sphinx builds the documentation; `make docs` runs it. Nothing is loaded from elsewhere, then or later."""

project = "jaxsweep"
author = "the authors of jaxsweep"
copyright = "the authors of jaxsweep, Apache-2.0"
extensions = ["myst_parser"]
exclude_patterns = ["generated", "requirements.txt"]
html_theme = "furo"
html_title = "jaxsweep"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
smartquotes = False  # what is typed is what is meant, -- in an option too

# Every link within the site is checked, its anchor too, and what is wrong is a warning, which ends the build.
nitpicky = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
