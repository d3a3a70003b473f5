"""A secret is shown nowhere."""

import copy
import json
import pickle

import msgspec
import pytest

from overround.ops.secrets import Secret

SECRET = Secret("hunter2")


def test_no_text_form_shows_it() -> None:
    assert {str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET:>20}", format(SECRET, "s")} == {"***"}
    assert "hunter2" not in repr([SECRET, {"a": SECRET}])
    assert not hasattr(SECRET, "__dict__")


def test_nothing_serializes_it() -> None:
    for attempt in (json.dumps, msgspec.json.encode, pickle.dumps, copy.deepcopy, hash):
        with pytest.raises(TypeError) as caught:
            attempt(SECRET)
        assert "hunter2" not in str(caught.value)


def test_it_can_be_used() -> None:
    assert SECRET.reveal() == "hunter2"
    assert Secret("hunter2") == SECRET
    assert Secret("hunter3") != SECRET
    assert [SECRET] != ["hunter2"]
    assert not Secret("")
