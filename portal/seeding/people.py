"""The demonstration's accounts: made once, with random passwords, and written to accounts.json."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import transaction

from accounts.models import User
from accounts.services import grant_agency_role
from common.actors import SEED


@dataclass(frozen=True)
class Person:
    """Somebody of the story. `agency` roles need a second factor; `membership` is a role in the organisation; pages and
    mails are in `language`.
    """

    email: str
    name: str
    organisation: str
    membership: str = ""
    agency: tuple[str, ...] = ()
    mfa: bool = False
    language: str = "ko"


PEOPLE = (
    Person("owner@upstage.example", "김소유", "upstage", "owner", mfa=True),
    Person("manager@upstage.example", "이관리", "upstage", "manager"),
    Person("member@upstage.example", "박연구", "upstage", "member"),
    Person("viewer@upstage.example", "최열람", "upstage", "viewer"),
    Person("owner@mudeung.example", "정대표", "mudeung", "owner"),
    Person("manager@mudeung.example", "한관리", "mudeung", "manager"),
    Person("owner@yeongsan.example", "서영산", "yeongsan", "owner"),
    Person("manager@yeongsan.example", "문관리", "yeongsan", "manager"),
    Person("member@yeongsan.example", "배연구", "yeongsan", "member"),
    Person("viewer@yeongsan.example", "노열람", "yeongsan", "viewer"),
    Person("officer@agency.example", "강담당", "agency", agency=("officer",)),
    Person("officer2@agency.example", "신담당", "agency", agency=("officer",)),
    Person("reviewer@agency.example", "윤평가", "agency", agency=("reviewer",)),
    Person("operator@agency.example", "조운영", "agency", agency=("operator",)),
    Person("auditor@agency.example", "임감사", "agency", agency=("auditor",)),
    Person("administrator@agency.example", "오총괄", "agency", agency=("administrator",)),
    Person("member@mudeung.example", "Minh Tran", "mudeung", "member", language="en"),
    Person("reviewer2@agency.example", "Emily Carter", "agency", agency=("reviewer",), language="en"),
)


@dataclass(frozen=True)
class Account:
    """A line of accounts.json."""

    email: str
    password: str
    roles: list[str]
    organisation: str
    totp_secret: str | None


@transaction.atomic
def make_person(person: Person, organisation_name: str, known: dict[str, Any]) -> tuple[User, Account]:
    """A user with a verified address, its roles and, where needed, its second factor.

    `known` is what an earlier accounts.json said of this address: kept, so that a database made anew in the same
    folder has the same passwords.
    """
    account = Account(
        email=person.email,
        password=known.get("password") or secrets.token_urlsafe(12),
        roles=[*person.agency] or [person.membership],
        organisation=organisation_name,
        totp_secret=(known.get("totp_secret") or generate_totp_secret()) if person.agency or person.mfa else None,
    )
    user = User.objects.create_user(person.email, account.password, name=person.name, language=person.language)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    for role in person.agency:
        grant_agency_role(actor=SEED, user=user, role=role)
    if account.totp_secret:
        TOTP.activate(user, account.totp_secret)
        RecoveryCodes.activate(user)
    return user, account


def read_accounts(folder: Path) -> dict[str, dict[str, Any]]:
    """What accounts.json says, by address; empty where there is none."""
    path = folder / "accounts.json"
    return {line["email"]: line for line in json.loads(path.read_text())} if path.is_file() else {}


def write_accounts(folder: Path, accounts: list[Account]) -> None:
    """accounts.json, readable by its owner alone."""
    draft = folder / ".accounts.json"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump([asdict(account) for account in accounts], file, ensure_ascii=False, indent=2)
    os.replace(draft, folder / "accounts.json")
