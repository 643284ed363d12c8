"""How a call reaches the wire; knows no endpoint."""

from scrapinghub.transport.http import logs

logs.set_up()
