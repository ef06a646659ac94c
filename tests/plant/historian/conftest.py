import pytest

pytest.register_assert_rewrite("tests.plant.historian.contract")
