"""The command line as a fixture."""

import pytest

from tests.ops.cli.running import Cli


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in this process."""
    return Cli(capsys, monkeypatch)
