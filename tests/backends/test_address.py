"""Where a key or a file may go."""

from __future__ import annotations

import re

import pytest

from tunekit.backends.address import base_url, is_loopback, transfer
from tunekit.errors import RequestRejected, SpecError

USUAL = "https://api.service.example/v1"
VARIABLE = "SERVICE_BASE_URL"
STORE = "https://store.example/bucket/adapter.safetensors?X-Amz-Signature=abc"

OURS = [
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://127.0.0.0x1/x",
    "https://127.0.0.1./x",
    "https://0/x",
    "https://0.0.0.0/x",
    "https://[::1]/x",
    "https://[::]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::ffff:7f00:1]/x",
    "https://localhost/x",
    "https://LOCALHOST/x",
    "https://localhost./x",
    "https://a.localhost/x",
    "https://localhost.localdomain/x",
    "https://ip6-localhost/x",
    "https://127。0。0。1/x",
    "https://127．0．0．1/x",
    "https://１２７.0.0.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://user@127.0.0.1/x",
]
ODD = [
    "http://store.example/x",
    "ftp://store.example/x",
    "file:///etc/passwd",
    "//store.example/x",
    "store.example/x",
    "",
    "https://",
    "https:///x",
    "https://store.example\\@127.0.0.1/x",
    "https://store.example@127.0.0.1/x",
    "https://user:word@store.example/x",
    "https://store.exam\nple/x",
    " https://store.example/x",
    "https://[::1/x",
    "https://store.example:99999/x",
    "https://store.example:0/x",
    "https://./x",
]


@pytest.mark.parametrize("url", [*OURS, *ODD])
def test_a_public_service_sends_no_file_to_a_machine_by_number_or_by_an_odd_address(
    url: str,
) -> None:
    with pytest.raises(RequestRejected, match="nothing was sent there"):
        transfer(url, backend="service", on_loopback=False)


@pytest.mark.parametrize("url", [STORE, "https://store.example:8443/x", "https://bücher.example/x"])
def test_a_named_host_by_https_is_taken(url: str) -> None:
    assert transfer(url, backend="service", on_loopback=False) == url


def test_a_service_on_this_machine_may_name_this_machine_and_nothing_else_by_number() -> None:
    ours = "http://127.0.0.1:8000/file"
    assert transfer(ours, backend="service", on_loopback=True) == ours
    assert transfer(STORE, backend="service", on_loopback=True) == STORE
    for url in ("http://10.0.0.1/x", "http://store.example/x", "ftp://127.0.0.1/x"):
        with pytest.raises(RequestRejected):
            transfer(url, backend="service", on_loopback=True)


def test_a_refused_address_is_told_without_its_signature() -> None:
    with pytest.raises(RequestRejected) as refused:
        transfer(STORE.replace("https", "http"), backend="service", on_loopback=False)
    assert "store.example/bucket" in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:80", True),
        ("https://127.9.9.9", True),
        ("http://localhost:9", True),
        ("http://[::1]:9", True),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1@service.example", False),
        ("http://service.example\\@127.0.0.1", False),
        ("http://10.0.0.1", False),
        ("gopher://127.0.0.1", False),
        ("", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, ours: bool) -> None:
    assert is_loopback(url) is ours


def test_the_usual_address_is_taken_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert base_url(None, VARIABLE, USUAL) == USUAL
    monkeypatch.setenv(VARIABLE, USUAL + "/")
    assert base_url(None, VARIABLE, USUAL) == USUAL


def test_an_address_that_is_written_down_goes_before_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "https://elsewhere.example")
    assert base_url("https://eu.service.example/", VARIABLE, USUAL) == "https://eu.service.example"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:8000"])
def test_the_environment_may_lead_to_this_machine(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    assert base_url(None, VARIABLE, USUAL) == url


def test_the_environment_leads_to_no_foreign_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "https://elsewhere.example/v1")
    with pytest.raises(SpecError, match=f"{VARIABLE} sends the key.*base_url: https://elsewhere"):
        base_url(None, VARIABLE, USUAL)


@pytest.mark.parametrize("url", ["http://api.service.example", "ftp://api.service.example/v1"])
def test_the_key_does_not_travel_in_the_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(SpecError, match="not https"):
        base_url(url, VARIABLE, USUAL)


@pytest.mark.parametrize(
    "url",
    [
        "https://name:hunter22@api.service.example",
        "https://api.service.example/v1?x=1",
        "https://api.service.example/#@127.0.0.1",
        "http://127.0.0.1\\@elsewhere.example",
        "http://localhost:8000\t",
        "https://",
        "api.service.example",
        "https://[::1",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match=re.escape("backend.base_url")) as refused:
        base_url(url, VARIABLE, USUAL)
    assert "hunter22" not in str(refused.value)
