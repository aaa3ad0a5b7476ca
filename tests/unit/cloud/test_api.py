# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client does with answers, lost answers and limits: sending once, trying again, logging in again."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
import scripted
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import api as api_module
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import auth, endpoints, pacing, transport
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Failure
from scripted import PROJECT, TOKEN, FakeClock, Script, make_api, reply, token_reply

PATH = ("v2", api_module.PROJECT, "things", "a1")
PASSWORD = "pass-Wort!-77"
LOGIN = auth.PasswordLogin(username="rescuer", password=PASSWORD, domain_name="ACCOUNT")
KEYS = auth.KeyLogin(access_key="AKEXAMPLE0001", secret_key="SKsecretsecretsecret1", security_token="STtemporary/+=")
EXPIRED = [
    pytest.param(reply({"error_code": "APIGW.0307", "error_msg": "update it"}, 401), id="gateway"),
    pytest.param(reply({"error": {"code": 401, "message": "The token must be updated"}}, 401), id="iam-text"),
    pytest.param(reply({"error": {"code": "Common.0013", "message": "invalid token"}}, 400), id="evs"),
    pytest.param(reply({"error": {"code": "AutoBackup.0003", "message": "token expired"}}, 400), id="vbs"),
    pytest.param(reply(None, 401), id="plain-401"),
    pytest.param(reply({"message": "The token must be updated", "code": "X.1"}, 403), id="text-only"),
]
UNSURE = [
    pytest.param(transport.AnswerLost("cut"), id="lost"),
    pytest.param(reply(None, 408), id="408"),
    pytest.param(reply({"error": {"code": "x", "message": "y"}}, 500), id="500"),
    pytest.param(reply(None, 502), id="502"),
    pytest.param(reply(None, 503), id="503"),
    pytest.param(reply({"error_code": "APIGW.0201", "error_msg": "Backend timeout"}, 504), id="504"),
    pytest.param(reply(None, 599), id="unknown-5xx"),
]


def get(api: api_module.Api, **more: Any) -> api_module.Answer:
    return api.get("evs", PATH, what="looking at a1", **more)


def post(api: api_module.Api, **more: Any) -> api_module.Answer:
    return api.post("evs", PATH, json={"a": 1}, what="changing a1", **more)


def failure(call: Any, *args: Any, **more: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        call(*args, **more)
    return caught.value


# --- one call ---


def test_a_read_as_it_goes_out() -> None:
    script = Script(reply({"thing": 1}, headers={"Date": "Fri, 02 Jan 2026 03:05:05 GMT"}))
    api = make_api(script)
    answer = get(api, query={"limit": 2, "none": None, "a": "b c"})
    assert answer.json == {"thing": 1}
    request = script.requests[0]
    assert request.url == f"https://evs.eu-de.otc.example.com/v2/{PROJECT}/things/a1?a=b%20c&limit=2"
    assert request.headers["X-Auth-Token"] == TOKEN
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("hwcloud.recovery/")
    assert api.skew_seconds == 60.0
    assert api.requests_sent == {("evs", "GET /v2/*/things/*"): 1}


def test_a_signed_read_names_its_project() -> None:
    script = Script(reply({}))
    get(make_api(script, login=KEYS))
    headers = script.requests[0].headers
    assert headers["X-Project-Id"] == PROJECT
    assert headers["X-Security-Token"] == KEYS.security_token
    assert "x-project-id" in headers["Authorization"]
    assert "user-agent" not in headers["Authorization"]
    assert "X-Auth-Token" not in headers


@pytest.mark.parametrize("segment", ["", "..", "a/b", "a?b", "a%2Fb", "ü", "a b", "a.b", "x" * 257, "a\n"])
def test_what_is_no_id_never_becomes_a_url(segment: str) -> None:
    script = Script()
    error = failure(make_api(script).post, "vbs", ("v2", api_module.PROJECT, segment), json={}, what="restoring")
    assert error.info.kind is Failure.FORBIDDEN_HERE
    assert script.requests == []


def test_a_project_id_that_is_no_id_is_refused_too() -> None:
    assert failure(get, make_api(Script(), project_id="../x")).info.kind is Failure.FORBIDDEN_HERE


@pytest.mark.parametrize("method", ["post", "delete"])
def test_check_mode_sends_no_write(method: str) -> None:
    script = Script()
    api = make_api(script, read_only=True, login=LOGIN, project_id="")
    more: dict[str, Any] = {"json": {}} if method == "post" else {}
    error = failure(getattr(api, method), "evs", PATH, what="changing a1", **more)
    assert error.info.kind is Failure.FORBIDDEN_HERE
    assert script.requests == []


def test_check_mode_logs_in_and_reads() -> None:
    script = Script(token_reply(), reply({}))
    get(make_api(script, read_only=True, login=LOGIN))
    assert [request.method for request in script.requests] == ["POST", "GET"]


@pytest.mark.parametrize("raw", [b"", b"<html>hello</html>", b"[]", b"null", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_a_success_without_an_object(raw: bytes) -> None:
    reads = Script(reply(raw=raw), reply(raw=raw), reply(raw=raw))
    assert failure(get, make_api(reads)).info.kind is Failure.NONSENSE
    assert len(reads.requests) == 3, "a proxy may answer nonsense in passing"
    script = Script(reply(raw=raw))
    assert failure(post, make_api(script)).info.kind is Failure.LOST, "a write may have been carried out"
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "raw", [b"", b" \n", b"null", b'""', b'"ok"', b"OK", b"[]", b"None", b'"None"', b"true", b'"success"\n', b"{}"]
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_empty_success_where_the_call_expects_it(raw: bytes, status: int) -> None:
    """The document of the HSS restore says that its answer is "None", and a service may write just that."""
    assert post(make_api(Script(reply(raw=raw, status=status))), empty_ok=True).json == {}


@pytest.mark.parametrize(
    "raw",
    [b"<html>portal</html>", b"false", b'"failed"', b"not found", b"0", b'[{"error_code": "A"}]', b'{"a":', b"\xff"],
)
def test_an_odd_success_is_lost_even_where_it_may_be_empty(raw: bytes) -> None:
    assert failure(post, make_api(Script(reply(raw=raw))), empty_ok=True).info.kind is Failure.LOST


def test_redirects_are_not_followed() -> None:
    script = Script(reply(None, 302, headers={"Location": "https://evil.example.net/steal?token=1"}))
    error = failure(post, make_api(script))
    assert error.info.kind is Failure.REFUSED
    assert "evil.example.net" in str(error)
    assert "steal" not in str(error)
    assert len(script.requests) == 1


# --- reads are tried again ---


@pytest.mark.parametrize("unsure", UNSURE)
def test_a_read_is_tried_again(unsure: scripted.Reply) -> None:
    clock = FakeClock()
    script = Script(unsure, unsure, reply({"ok": 1}))
    assert get(make_api(script, clock=clock)).json == {"ok": 1}
    assert clock.slept == [1.0, 2.0], "back-off with half of the jitter"


@pytest.mark.parametrize("unsure", UNSURE)
def test_a_read_ends_after_a_bounded_time(unsure: scripted.Reply) -> None:
    clock = FakeClock()
    script = Script(unsure, forever=True)
    error = failure(get, make_api(script, clock=clock, random=lambda: 1.0))
    assert error.info.kind is Failure.LOST
    assert len(script.requests) == 8
    assert clock.seconds <= 300


def test_jitter_spreads_the_tries() -> None:
    pauses = []
    for chance in (0.0, 0.25, 1.0):
        clock = FakeClock()
        get(make_api(Script(reply(None, 503), reply({})), clock=clock, random=lambda chance=chance: chance))
        pauses.append(clock.slept)
    assert pauses == [[0.0], [0.5], [2.0]]


def test_each_try_is_signed_anew() -> None:
    script = Script(reply(None, 503), reply({}))
    get(make_api(script, login=KEYS))
    dates = [request.headers["X-Sdk-Date"] for request in script.requests]
    assert dates == ["20260102T030405Z", "20260102T030406Z"]
    assert script.requests[0].headers["Authorization"] != script.requests[1].headers["Authorization"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0"}, 1),
        ({"Retry-After": "soon"}, 60),
        ({"Retry-After": "Fri, 02 Jan 2026 03:04:35 GMT", "Date": "Fri, 02 Jan 2026 03:04:05 GMT"}, 30),
        ({"Retry-After": "Fri, 02 Jan 2026 03:04:35 GMT"}, 60),
    ],
)
def test_throttled_reads_wait_as_told(headers: dict[str, str], seconds: float) -> None:
    clock = FakeClock()
    script = Script(reply({"error_code": "APIGW.0308", "error_msg": "x"}, 429, headers=headers), reply({}))
    get(make_api(script, clock=clock, random=lambda: 0.0))
    assert clock.slept == [seconds]


def test_throttled_for_too_long_is_left_to_the_caller() -> None:
    clock = FakeClock()
    script = Script(reply(None, 429, headers={"Retry-After": "900"}))
    error = failure(get, make_api(script, clock=clock))
    assert (error.info.kind, error.info.retry_after_seconds) == (Failure.BUSY, 900.0)
    assert clock.slept == []


def test_patience_counts_the_time_that_the_calls_take_as_well() -> None:
    """Only the pauses counted: eight calls that nobody answered took eight minutes more."""

    def silent(_request: transport.HttpRequest) -> transport.HttpResponse:
        clock.seconds += 70
        raise transport.AnswerLost("no whole answer within 60 seconds")

    clock = FakeClock()
    script = Script(silent, forever=True)
    assert failure(get, make_api(script, clock=clock, random=lambda: 0.0)).info.kind is Failure.LOST
    assert len(script.requests) == 5
    clock.seconds = 0.0
    api = make_api(script, clock=clock)
    api.patience_seconds = 10
    failure(get, api)
    assert len(script.requests) == 6


def test_patience_is_not_used_up_by_the_rate_limit() -> None:
    """Others may stand before it for longer than a call may be tried again."""
    clock = FakeClock()
    script = Script(*[reply({})] * 30, reply(None, 503), reply({"ok": 1}))
    api = make_api(script, clock=clock, random=lambda: 0.0)
    for _unused in range(30):
        api.take_turn(("hss", "A"))
        api.get("hss", PATH, what="looking", name="B")
    clock.seconds = 0.0
    assert api.get("hss", PATH, what="looking", name="A").json == {"ok": 1}
    assert clock.seconds > 300


def test_throttled_for_ever_ends() -> None:
    clock = FakeClock()
    error = failure(get, make_api(Script(reply(None, 429), forever=True), clock=clock))
    assert error.info.kind is Failure.BUSY
    assert clock.seconds <= 300


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 407, 409, 413, 414, 501])
def test_a_clear_no_is_not_asked_again(status: int) -> None:
    script = Script(reply(None, status))
    assert failure(get, make_api(script)).info.http_status == status
    assert len(script.requests) == 1


@pytest.mark.parametrize("call", [get, post])
def test_no_connection_is_tried_a_few_times_also_for_writes(call: Any) -> None:
    script = Script(transport.NotSent("no connection to x"), reply({"ok": 1}))
    assert call(make_api(script)).json == {"ok": 1}
    script = Script(transport.NotSent("no connection to x"), forever=True)
    error = failure(call, make_api(script))
    assert error.info.kind is Failure.UNREACHABLE
    assert len(script.requests) == api_module.NOT_SENT_TRIES


def test_a_wrong_certificate_is_final() -> None:
    script = Script(transport.NotSent("not trusted", certificate=True))
    error = failure(get, make_api(script))
    assert error.info.kind is Failure.UNREACHABLE
    assert "ca_cert" in error.info.remedy


# --- writes are never sent twice ---


@pytest.mark.parametrize("unsure", UNSURE)
@pytest.mark.parametrize("method", ["post", "delete"])
def test_a_write_that_may_have_arrived_is_never_repeated(unsure: scripted.Reply, method: str) -> None:
    clock = FakeClock()
    script = Script(unsure)
    more: dict[str, Any] = {"json": {}} if method == "post" else {}
    error = failure(getattr(make_api(script, clock=clock), method), "evs", PATH, what="changing a1", **more)
    assert error.info.kind is Failure.LOST
    assert "look at the state" in error.info.remedy
    assert len(script.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("busy", "seconds"),
    [
        (reply({"error_code": "APIGW.0308", "error_msg": "slow"}, 429), 60.0),
        (reply({"error": {"code": "Common.0024", "message": "flow limit exceeded"}}, 202), 60.0),
        (reply({"code": "Common.0024", "message": "flow limit exceeded"}, 202), 60.0),
        (reply({"error": {"code": "Ecs.0603", "message": "try again in 1 minute"}}, 501), 60.0),
        (reply(None, 429, headers={"Retry-After": "5"}), 5.0),
    ],
)
def test_a_write_that_was_not_accepted_is_the_callers_to_repeat(busy: scripted.Reply, seconds: float) -> None:
    script = Script(busy)
    error = failure(post, make_api(script))
    assert (error.info.kind, error.info.retry_after_seconds) == (Failure.BUSY, seconds)
    assert len(script.requests) == 1


def test_a_job_id_makes_a_busy_looking_answer_a_success() -> None:
    script = Script(reply({"job_id": "j1", "code": "Common.0024", "message": "delayed"}, 202))
    assert post(make_api(script)).json["job_id"] == "j1"


# --- logging in ---


def test_password_login_once_for_many_threads() -> None:
    script = Script(token_reply(), reply({}), forever=True)
    api = make_api(script, login=LOGIN, project_id="", project_name="eu-de_team")
    threads = [threading.Thread(target=get, args=(api,)) for _unused in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logins = [request for request in script.requests if request.method == "POST"]
    assert len(logins) == 1
    assert logins[0].url == "https://iam.eu-de.otc.example.com/v3/auth/tokens?nocatalog=1"
    _method, _path, _query, body = script.sent(0)
    assert body["auth"]["scope"] == {"project": {"name": "eu-de_team"}}
    assert body["auth"]["identity"]["password"]["user"] == {
        "name": "rescuer",
        "password": PASSWORD,
        "domain": {"name": "ACCOUNT"},
    }
    assert {request.headers.get("X-Auth-Token") for request in script.requests} == {None, TOKEN}
    assert api.project_id() == PROJECT, "taken from the token, without another call"


@pytest.mark.parametrize("expired", EXPIRED)
@pytest.mark.parametrize("call", [get, post])
def test_an_expired_token_is_renewed_once(expired: scripted.Reply, call: Any) -> None:
    script = Script(token_reply("first-token"), expired, token_reply("second-token"), reply({"ok": 1}))
    assert call(make_api(script, login=LOGIN)).json == {"ok": 1}
    assert script.requests[1].headers["X-Auth-Token"] == "first-token"
    assert script.requests[3].headers["X-Auth-Token"] == "second-token"
    assert script.requests[1].body == script.requests[3].body


@pytest.mark.parametrize("expired", EXPIRED)
def test_a_token_that_stays_refused_ends_the_request(expired: scripted.Reply) -> None:
    script = Script(token_reply("first-token"), expired, token_reply("second-token"), expired)
    error = failure(post, make_api(script, login=LOGIN))
    assert error.info.kind is Failure.DENIED
    assert "new token is refused" in error.info.remedy
    assert script.left == 0


def test_a_token_may_expire_again_later() -> None:
    expired = reply(None, 401)
    script = Script(
        *itertools.chain.from_iterable((token_reply(f"token-{number}"), reply({}), expired) for number in range(6)),
        token_reply("token-6"),
        reply({}),
    )
    api = make_api(script, login=LOGIN)
    for _unused in range(7):
        get(api)
    assert script.left == 0


def test_new_tokens_that_never_work_are_not_asked_for_without_end() -> None:
    def answer(request: transport.HttpRequest) -> transport.HttpResponse:
        return token_reply(f"token-{len(script.requests)}") if request.method == "POST" else reply(None, 401)

    script = Script(answer, forever=True)
    api = make_api(script, login=LOGIN)
    for _unused in range(20):
        failure(get, api)
    assert sum(request.method == "POST" for request in script.requests) == 4


def test_only_one_thread_renews() -> None:
    barrier = threading.Barrier(4)

    def answer(request: transport.HttpRequest) -> transport.HttpResponse:
        if request.method == "POST":
            return token_reply(f"token-{sum(one.method == 'POST' for one in script.requests)}")
        if request.headers["X-Auth-Token"] == "token-1":
            barrier.wait(timeout=10)
            return reply(None, 401)
        return reply({})

    script = Script(answer, forever=True)
    api = make_api(script, login=LOGIN)
    threads = [threading.Thread(target=get, args=(api,)) for _unused in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(request.method == "POST" for request in script.requests) == 2


@pytest.mark.parametrize("expired", EXPIRED)
def test_what_cannot_be_renewed_is_not_repeated(expired: scripted.Reply) -> None:
    script = Script(expired)
    error = failure(post, make_api(script, login=auth.TokenLogin(TOKEN)))
    assert error.info.kind is Failure.DENIED
    assert len(script.requests) == 1
    assert "new token" in error.info.remedy


@pytest.mark.parametrize("expired", EXPIRED)
@pytest.mark.parametrize("call", [get, post])
def test_a_signature_that_was_refused_is_made_anew_once(expired: scripted.Reply, call: Any) -> None:
    """One refused signature (too old when it came) ended the call, though it proves that nothing was accepted."""

    def late(_request: transport.HttpRequest) -> transport.HttpResponse:
        clock.seconds += 1000
        assert isinstance(expired, transport.HttpResponse)
        return expired

    clock = FakeClock()
    script = Script(late, reply({"ok": 1}))
    assert call(make_api(script, login=KEYS, clock=clock)).json == {"ok": 1}
    dates = [request.headers["X-Sdk-Date"] for request in script.requests]
    assert dates == ["20260102T030405Z", "20260102T032045Z"]
    assert script.requests[0].body == script.requests[1].body


def test_keys_that_never_work_are_tried_twice_and_later_once() -> None:
    script = Script(reply(None, 401), forever=True)
    api = make_api(script, login=KEYS)
    assert failure(post, api).info.kind is Failure.DENIED
    assert len(script.requests) == 2
    failure(get, api)
    assert len(script.requests) == 3


def test_keys_that_have_worked_may_be_refused_in_passing_again_and_again() -> None:
    refused, good = reply(None, 401), reply({})
    api = make_api(Script(*[refused, good] * 3), login=KEYS)
    for _unused in range(3):
        get(api)


# --- a login that fails while something is to be changed ---


@pytest.mark.parametrize(
    ("stumbles", "kind"),
    [
        ([reply(None, 503)] * 3, Failure.UNREACHABLE),
        ([transport.AnswerLost("cut")] * 3, Failure.UNREACHABLE),
        ([transport.NotSent("no connection")] * 4, Failure.UNREACHABLE),
        ([reply({}, 201)], Failure.UNREACHABLE),
        ([reply(raw=b"<html>", status=200)] * 3, Failure.UNREACHABLE),
        ([reply(None, 429, headers={"Retry-After": "900"})], Failure.BUSY),
        ([reply(None, 403)], Failure.DENIED),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first login", "renewal"])
def test_a_login_that_fails_leaves_no_doubt_about_a_write(stumbles: list[Any], kind: Failure, first: bool) -> None:
    """The write had not been sent, or was refused with 401. It counted as one that may have been carried out."""
    before = [] if first else [token_reply(), reply({"error_code": "APIGW.0307", "error_msg": "old"}, 401)]
    script = Script(*before, *stumbles)
    info = failure(post, make_api(script, login=LOGIN)).info
    assert info.kind is kind
    assert "logging in as rescuer" in info.message
    assert "may have been carried out" not in info.remedy
    assert script.left == 0
    if kind is Failure.UNREACHABLE:
        assert info.message.startswith("changing a1: not done: ")


@pytest.mark.parametrize("odd", [reply(None, 503), reply(raw=b"<html>")])
def test_a_project_that_cannot_be_looked_up_leaves_no_doubt_either(odd: scripted.Reply) -> None:
    script = Script(odd, forever=True)
    info = failure(post, make_api(script, project_id="")).info
    assert info.kind is Failure.UNREACHABLE
    assert "looking up project eu-de" in info.message
    assert all(request.method == "GET" for request in script.requests)


@pytest.mark.parametrize(
    "refusal",
    [
        reply({"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}, 401),
        reply({"error_code": "IAM.0061", "error_msg": "account locked"}, 401),
        reply({"error_code": "IAM.0011", "error_msg": "bad body"}, 400),
        reply(None, 403),
    ],
)
def test_wrong_credentials_are_tried_once_per_process(refusal: scripted.Reply) -> None:
    script = Script(refusal)
    api = make_api(script, login=LOGIN)
    first, second = failure(get, api), failure(post, api)
    assert first.info == second.info
    assert "logging in as rescuer" in str(first)
    assert len(script.requests) == 1


def test_a_locked_account_gets_its_remedy() -> None:
    script = Script(reply({"error_code": "IAM.0061", "error_msg": "account locked"}, 401))
    assert "locked" in failure(get, make_api(script, login=LOGIN)).info.remedy


def test_iam_may_stumble() -> None:
    script = Script(reply(None, 503), transport.AnswerLost("cut"), token_reply(), reply({}))
    get(make_api(script, login=LOGIN))
    script = Script(reply(None, 503), forever=True)
    assert failure(get, make_api(script, login=LOGIN)).info.kind is Failure.LOST
    assert len(script.requests) == api_module.TOKEN_TRIES


@pytest.mark.parametrize(
    "login", [auth.TokenLogin(""), auth.PasswordLogin("u", "", "d"), auth.KeyLogin("", "s"), auth.KeyLogin("a", "")]
)
def test_an_incomplete_login_is_told_before_any_call(login: auth.Login) -> None:
    script = Script()
    assert "lacks" in str(failure(get, make_api(script, login=login)))


def test_a_wrong_clock_is_told_with_both_times() -> None:
    headers = {"Date": "Fri, 02 Jan 2026 04:04:05 GMT"}
    script = Script(
        reply({"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"}, 401, headers=headers),
        forever=True,
    )
    error = failure(get, make_api(script, login=KEYS))
    assert "2026-01-02T03:04:05Z" in str(error)
    assert "2026-01-02T04:04:05Z" in str(error)
    assert error.info.kind is Failure.DENIED
    assert len(script.requests) == 2


def test_times_that_the_gateway_names_are_not_told_twice() -> None:
    text = "signature expired, signature time:20260102T030405Z,server time:20260102T040405Z"
    headers = {"Date": "Fri, 02 Jan 2026 04:04:05 GMT"}
    script = Script(reply({"error_code": "APIGW.0301", "error_msg": text}, 401, headers=headers), forever=True)
    assert "time here" not in str(failure(get, make_api(script, login=KEYS)))


@pytest.mark.parametrize(
    "headers", [{}, {"X-Subject-Token": ""}, {"X-Subject-Token": "a\nb"}, {"X-Subject-Token": "ü"}]
)
def test_a_login_without_a_token(headers: dict[str, str]) -> None:
    script = Script(reply({"token": {}}, 201, headers=headers))
    assert failure(get, make_api(script, login=LOGIN)).info.kind is Failure.NONSENSE


@pytest.mark.parametrize(("login", "kind"), [(LOGIN, Failure.DENIED), (KEYS, Failure.FORBIDDEN_HERE)])
def test_no_project_at_all(login: auth.Login, kind: Failure) -> None:
    where = endpoints.Endpoints(overrides={"evs": "https://e.example", "iam": "https://i.example"})
    error = failure(get, make_api(Script(), login=login, endpoints=where, project_id=""))
    assert error.info.kind is kind
    assert "project_name" in error.info.remedy


ECHO = f"{PASSWORD} {TOKEN} {KEYS.access_key} {KEYS.secret_key} {KEYS.security_token}"


@pytest.mark.parametrize("login", [LOGIN, auth.TokenLogin(TOKEN), KEYS], ids=["password", "token", "keys"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500])
@pytest.mark.parametrize(
    "echo",
    [
        {"raw": f"<p>{ECHO}</p>".encode()},
        {"document": {"error_code": ECHO, "error_msg": ECHO, "request_id": ECHO}},
        {"raw": b"", "headers": {"X-Request-Id": ECHO, "Location": f"https://x.example/{ECHO}"}},
    ],
)
def test_no_secret_leaves_the_client(login: auth.Login, status: int, echo: dict[str, Any]) -> None:
    """Whatever a service or a proxy quotes of the request."""

    def answer(request: transport.HttpRequest) -> transport.HttpResponse:
        logging_in = request.url.endswith("/v3/auth/tokens?nocatalog=1")
        return token_reply() if logging_in else reply(status=status, **echo)

    api = make_api(Script(answer, forever=True), login=login)
    caught = failure(post, api)
    shown = scripted.all_texts([caught, caught.info, caught.args, caught.__cause__, caught.__context__, api, login])
    own = {LOGIN: (PASSWORD, TOKEN), KEYS: KEYS.secrets}.get(login, (TOKEN,))
    assert [secret for secret in own if secret in shown] == []


def test_a_refused_password_is_not_quoted() -> None:
    body = {"error": {"code": 401, "message": f"wrong password {PASSWORD} of rescuer"}}
    error = failure(get, make_api(Script(reply(body, 401)), login=LOGIN))
    assert PASSWORD not in scripted.all_texts([error, error.info])
    assert "rescuer" in str(error)


def test_a_malformed_redirect() -> None:
    script = Script(reply(None, 302, headers={"Location": "https://[x"}))
    assert "malformed" in str(failure(get, make_api(script)))


def test_a_text_can_be_cleaned_outside_too() -> None:
    api = make_api(Script())
    assert TOKEN not in api.redactor.text(f"a {TOKEN} b") + repr(api) + repr(api.redactor)


# --- rate limits ---


def _most_in_a_minute(times: list[float]) -> int:
    return max(sum(start <= time < start + 60 for time in times) for start in times)


def test_hss_is_never_asked_more_than_five_times_in_any_minute() -> None:
    clock, times = FakeClock(), []

    def answer(_request: transport.HttpRequest) -> transport.HttpResponse:
        times.append(clock.seconds)
        clock.seconds += 3.3
        return reply({})

    api = make_api(Script(answer, forever=True), clock=clock)
    for _unused in range(23):
        api.get("hss", PATH, what="looking", name="ListOperationLogs")
    assert _most_in_a_minute(times) == 5
    assert api.requests_sent == {("hss", "ListOperationLogs"): 23}


def test_tries_count_as_calls() -> None:
    clock = FakeClock()
    script = Script(*[reply(None, 503)] * 5, reply({}))
    make_api(script, clock=clock, random=lambda: 0.0).get("hss", PATH, what="looking", name="A")
    assert clock.seconds >= 60


def test_each_api_has_its_own_limit_and_others_none() -> None:
    clock = FakeClock()
    api = make_api(Script(reply({}), forever=True), clock=clock, rate_limits={"evs": 2})
    for name in ("A", "B"):
        for _unused in range(5):
            api.get("hss", PATH, what="looking", name=name)
    for _unused in range(50):
        api.get("ecs", PATH, what="looking", name="A")
    assert clock.slept == []
    for _unused in range(3):
        api.get("evs", PATH, what="looking", name="A")
    assert len(clock.slept) == 1


def test_threads_share_the_limit() -> None:
    turns = pacing.Turns({"hss": 5})
    waits = sorted(turns.wait_seconds(("hss", "A"), 0.0) for _unused in range(12))
    assert waits[:5] == [0.0] * 5
    assert all(wait > 60 for wait in waits[5:10])
    assert all(wait > 120 for wait in waits[10:])


# --- projects ---


def test_the_project_is_looked_up_once() -> None:
    script = Script(reply({"projects": [{"id": PROJECT, "name": "eu-de"}]}), reply({}), reply({}))
    api = make_api(script, project_id="")
    get(api)
    get(api)
    assert script.sent(0)[1:3] == ("/v3/projects", {"name": "eu-de"})
    assert script.sent(2)[1] == f"/v2/{PROJECT}/things/a1"


def test_without_the_right_to_list_projects() -> None:
    script = Script(
        reply({"error": {"code": 403, "message": "You are not authorized"}}, 403),
        reply({"projects": [{"id": "other", "name": "eu-de_x"}, {"id": PROJECT, "name": "eu-de"}]}),
        reply({}),
    )
    get(make_api(script, project_id="", login=KEYS))
    assert script.sent(1)[1] == "/v3/auth/projects"
    assert "X-Project-Id" not in script.requests[1].headers
    assert script.requests[2].headers["X-Project-Id"] == PROJECT


@pytest.mark.parametrize(
    ("projects", "kind", "said"),
    [
        ([], Failure.MISSING, "none"),
        ([{"id": "p2", "name": "eu-de_x"}], Failure.MISSING, "eu-de_x (p2)"),
        ([{"id": "p1", "name": "eu-de"}, {"id": "p2", "name": "eu-de"}], Failure.REFUSED, "eu-de (p1), eu-de (p2)"),
        ([{"id": {}, "name": "eu-de"}, "x", None], Failure.MISSING, "no project"),
    ],
)
def test_a_project_that_is_not_clear_names_the_choices(projects: list[Any], kind: Failure, said: str) -> None:
    error = failure(get, make_api(Script(reply({"projects": projects}), forever=True), project_id=""))
    assert error.info.kind is kind
    assert said in str(error)


# --- where ---


@pytest.mark.parametrize(
    ("options", "service", "url"),
    [
        ({"region": "eu-de", "cloud": "otc.t-systems.com"}, "vbs", "https://vbs.eu-de.otc.t-systems.com"),
        ({"region": "eu-de", "cloud": "otc.t-systems.com"}, "iam", "https://iam.eu-de.otc.t-systems.com"),
        ({"region": "cn-north-4"}, "iam", "https://iam.cn-north-4.myhuaweicloud.com"),
        ({"region": "eu-ch2", "cloud": "sc.otc.t-systems.com"}, "iam", "https://iam-pub.eu-ch2.sc.otc.t-systems.com"),
        ({"region": "eu-ch2", "cloud": "sc.otc.t-systems.com"}, "ecs", "https://ecs.eu-ch2.sc.otc.t-systems.com"),
        ({"auth_url": "https://iam.example.com/v3"}, "iam", "https://iam.example.com"),
        ({"auth_url": "https://iam.example.com/v3/"}, "iam", "https://iam.example.com"),
        ({"auth_url": "iam.example.com/x/v3"}, "iam", "https://iam.example.com/x"),
        ({"auth_url": "http://127.0.0.1:9000/v3"}, "iam", "http://127.0.0.1:9000"),
        ({"auth_url": "http://localhost:9000/v3"}, "iam", "http://localhost:9000"),
        ({"overrides": {"hss": "http://sim.example.com:81/hss/"}}, "hss", "http://sim.example.com:81/hss"),
        ({"overrides": {"iam": "https://a.example"}, "auth_url": "https://b.example"}, "iam", "https://a.example"),
    ],
)
def test_endpoints(options: dict[str, Any], service: str, url: str) -> None:
    assert endpoints.Endpoints(**options).base(service) == url


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region": "eu de"},
        {"region": "eu-de", "cloud": "x/y"},
        {"region": "eu-de.evil.example/"},
        {"auth_url": "http://iam.example.com/v3"},
        {"auth_url": "ftp://iam.example.com"},
        {"auth_url": "https://user:pass@iam.example.com"},
        {"overrides": {"iam": "https://h:99999"}},
        {"overrides": {"iam": "https://h/?a=b"}},
        {"overrides": {"iam": "https:///v3"}},
        {"overrides": {"iam": "https://[::1"}},
        {"overrides": {"iam": "https://h/a b"}},
        {"overrides": {"iam": "https://h/../%2e"}},
    ],
)
def test_bad_endpoints_are_refused(options: dict[str, Any]) -> None:
    error = failure(endpoints.Endpoints(**options).base, "iam")
    assert error.info.kind is Failure.FORBIDDEN_HERE
    assert error.info.remedy
    assert "pass@" not in str(error)
