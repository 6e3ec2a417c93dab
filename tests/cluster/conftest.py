"""What the tests of this directory share: one node with llmroute installed, for the whole session."""

import images
import node as nodes
import pytest
from installed import Installed


@pytest.fixture(scope="session")
def archives():
    """The images as archives: what `make images` wrote, and an app's."""
    with images.archives() as made:
        yield made


@pytest.fixture(scope="session")
def cluster(archives):
    """llmroute on a real node, with simulated providers, and with an opted-in namespace `shop` that has the keys."""
    with nodes.temporary() as node:
        installed = Installed(node)
        try:
            installed.install(archives)
            yield installed
        finally:
            # A node of ours goes with all that is in it.
            if nodes.EXISTING:
                installed.remove()
