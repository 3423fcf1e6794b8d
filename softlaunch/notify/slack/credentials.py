"""Slack's secrets, from the environment or from files that it names; never from a policy."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from softlaunch.core.documents import DocumentError, read_text
from softlaunch.core.errors import SoftlaunchError

API = "https://slack.com/api/"


class CredentialsError(SoftlaunchError):
    """A secret is missing, or its file can't be read."""


class SlackCredentials(BaseSettings):
    """`SLACK_BOT_TOKEN`, `SLACK_APP_TOKEN` and `SLACK_SIGNING_SECRET`, or `..._FILE` with the path of a file each."""

    model_config = SettingsConfigDict(env_prefix="SLACK_", frozen=True, extra="ignore")

    bot_token: SecretStr | None = Field(default=None, description="xoxb-..., to post")
    bot_token_file: Path | None = None
    app_token: SecretStr | None = Field(default=None, description="xapp-..., for Socket Mode")
    app_token_file: Path | None = None
    signing_secret: SecretStr | None = Field(default=None, description="to check that a request is Slack's")
    signing_secret_file: Path | None = None
    api_url: str = Field(default=API, description="another address of Slack's API, with a slash at the end")

    def need(self, name: str) -> str:
        """One of the secrets; raises CredentialsError with the variable to set."""
        given: SecretStr | None = getattr(self, name)
        path: Path | None = getattr(self, f"{name}_file")
        variable = f"SLACK_{name.upper()}"
        if given is not None and given.get_secret_value().strip():
            return given.get_secret_value().strip()
        if path is None:
            raise CredentialsError(f"{variable} is not set; set it, or {variable}_FILE to a file that holds it")
        try:
            found = read_text(path).strip()
        except DocumentError as error:
            raise CredentialsError(f"{variable}_FILE: {error}") from error
        if not found:
            raise CredentialsError(f"{variable}_FILE names {path}, which is empty")
        return found
