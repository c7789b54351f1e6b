"""Terraform on a copy of the stack. Without Terraform or the AWS provider the tests that need it are skipped, loudly."""

import pytest

from tests.terraform.module import NoTerraform, Stack, copied


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A copy that `terraform init` may write into, initialised."""
    try:
        return copied(tmp_path_factory.mktemp("stack"))
    except NoTerraform as error:
        pytest.skip(str(error))
