"""What an application imports that asks its models itself: who gets which variant, and what became of each call.

    client = Client("http://127.0.0.1:8800", key=...)
    app = client.app("support-bot")
    config = app.variant(user="u1")
    with config.call() as call:
        ...

Nothing here waits for the network but `Client.app`, for its first answer. Importing it loads the standard library
alone.
"""

from softlaunch.client.app import App
from softlaunch.client.call import Call, Variant
from softlaunch.client.client import Client, Options
from softlaunch.client.errors import ClientError, NoVariantError
from softlaunch.client.outbox import OutboxLimits

__all__ = ["App", "Call", "Client", "ClientError", "NoVariantError", "Options", "OutboxLimits", "Variant"]
