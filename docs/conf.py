"""How Sphinx builds the documentation: offline, from the installed package and its docstrings."""

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
]
exclude_patterns = ['_build']

# Every reference to something of ours must resolve. Names of Python and of other libraries stay plain text: to link
# them, a build would need the network.
nitpicky = True
nitpick_ignore_regex = [
    ('py:.*', r'(?!scrapinghub\.).*'),
    # Inside: what these give to a public class is shown with that class.
    ('py:class', r'scrapinghub\.client\.(mapping|records|resources)\..*'),
    ('py:class', r'scrapinghub\.transport\.(lane|retries|session|uploads)\..*'),
    # Of the older clients only the two that programs begin with are shown.
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

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_title = f'scrapinghub {release}'
pygments_style = 'friendly'
pygments_dark_style = 'monokai'
