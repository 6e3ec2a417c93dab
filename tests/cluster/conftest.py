"""What the tests of this directory share: one node with llmroute installed, for the whole session."""

import pytest

import node
from installed import Installed


@pytest.fixture(scope="session")
def cluster():
    """llmroute on a real node, with simulated providers, and with an opted-in namespace `shop` that has the keys."""
    with node.temporary() as home:
        installed = Installed(home)
        installed.install()
        yield installed
