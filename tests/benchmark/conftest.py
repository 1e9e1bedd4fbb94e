import pytest

import graphs


@pytest.fixture(scope="session")
def tiny_graph():
    return graphs.tiny()


@pytest.fixture(scope="session")
def branching_graph():
    return graphs.branching()
