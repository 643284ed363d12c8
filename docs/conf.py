"""Configuration of Sphinx. The build needs no network."""

from sphinx.domains.python import PyObject

import scrapinghub

project = 'scrapinghub'
author = 'The scrapinghub maintainers'
copyright = author
release = scrapinghub.__version__
version = '.'.join(release.split('.')[:2])

extensions = [
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_click',
    'sphinx_copybutton',
]
exclude_patterns = ['_build']

# Every reference to this package must resolve. Names of other packages are not linked: that would need the network.
nitpicky = True
nitpick_ignore_regex = [
    ('py:.*', r'(?!scrapinghub\.).*'),
    # Internal classes: what a public class inherits from them is shown with that class.
    (
        'py:.*',
        r'scrapinghub\.(client\.(_support|frontier_slots|utils\._\w+)|config|transport)(\..*)?',
    ),
    # Of the older clients, only the two entry points are documented.
    ('py:.*', r'scrapinghub\.(hubstorage|legacy)\..*'),
]

autoclass_content = 'class'
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Sphinx calls attributes "Variables".
for _field in PyObject.doc_field_types:
    if _field.name == 'variable':
        _field.label = 'Attributes'

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_title = f'scrapinghub {release}'
pygments_style = 'friendly'
pygments_dark_style = 'monokai'

# The copy button copies the code of a session, without prompts and output.
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True
# Output has no button.
copybutton_selector = 'div:not(.highlight-text) > div.highlight > pre'
