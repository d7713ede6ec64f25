import time

import pyotp
import pytest
from werkzeug.test import Client

from tests.app.conftest import PASSWORD, People

PATH = "/api/v1/auth/second-factor"
ME = {"email": "me@example.org", "password": PASSWORD}


@pytest.fixture
def mine(people: People) -> dict[str, str]:
    people.add()
    return people.bearer()


def test_a_second_factor_from_on_to_off(client: Client, mine: dict[str, str]) -> None:
    assert client.get(PATH, headers=mine).json == {"on": False, "recovery_codes_left": 0}
    assert client.post(PATH, json={"password": "wrong"}, headers=mine).status_code == 403
    begun = client.post(PATH, json={"password": PASSWORD}, headers=mine).json
    assert begun["secret"] in begun["uri"]
    assert client.post(f"{PATH}/confirm", json={"code": "x"}, headers=mine).status_code == 403
    code = pyotp.TOTP(begun["secret"]).at(int(time.time()))
    codes = client.post(f"{PATH}/confirm", json={"code": code}, headers=mine).json["recovery_codes"]
    assert client.get(PATH, headers=mine).json == {"on": True, "recovery_codes_left": 10}
    refused = client.post("/api/v1/auth/tokens", json=ME)
    assert refused.status_code == 401
    assert "code" in refused.json["detail"]
    assert client.post("/api/v1/auth/tokens", json={**ME, "code": codes[0]}).status_code == 201
    assert client.post("/api/v1/auth/tokens", json={**ME, "code": codes[0]}).status_code == 401
    assert client.post(PATH, json={"password": PASSWORD}, headers=mine).status_code == 409
    renewed = client.post(f"{PATH}/recovery-codes", json={"password": PASSWORD}, headers=mine)
    assert not set(renewed.json["recovery_codes"]) & set(codes)
    assert client.post(f"{PATH}/off", json={"password": PASSWORD}, headers=mine).status_code == 204
    assert client.post("/api/v1/auth/tokens", json=ME).status_code == 201
