"""Contacts as CSV: every bad row is named, and what is written can be read again."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta, timezone

import pytest

from relay.core.contacts import Contact, ContactObject, ContactStatus
from relay.formats.contacts_csv import RowProblem, read_contacts, write_contacts

BOB = Contact(
    object=ContactObject.CONTACT, id="003A", email="bob@b.test", first_name="Bob", last_name="B, C"
)


def test_columns_in_any_order_and_case_and_more_of_them() -> None:
    found = read_contacts(
        '\ufeffEMAIL,Phone,id,lastname,FirstName\r\n bob@b.test ,1,003A,"B, C",Bob\r\n\r\n',
        default=ContactObject.CONTACT,
    )
    assert found.contacts == (BOB,)
    assert found.problems == ()


def test_an_object_column_outweighs_the_default() -> None:
    found = read_contacts(
        "Id,Email,Object\n1,a@b.test,contact\n2,a@b.test,\n", default=ContactObject.LEAD
    )
    assert [c.object for c in found.contacts] == [ContactObject.CONTACT, ContactObject.LEAD]


def test_every_bad_row_is_named_with_its_line() -> None:
    found = read_contacts(
        "Id,Email,LastName,Object\n"
        "1,a@b.test,A,\n"
        ",a@b.test,A,\n"
        "2,,A,\n"
        "3,a b@c.test,A,\n"
        "4,a@b.test\n"
        "5,a@b.test,A,Account\n"
        '6,a@b.test,"two\nlines",\n'
        "1,c@b.test,A,\n",
        default=ContactObject.CONTACT,
    )
    assert [contact.id for contact in found.contacts] == ["1", "6"]
    assert found.problems == (
        RowProblem(line=3, message="the Id is empty"),
        RowProblem(line=4, message="the Email is empty"),
        RowProblem(
            line=5,
            message="the Email 'a b@c.test' is no address: the local part has characters that RFC "
            "5321 does not allow there",
        ),
        RowProblem(line=6, message="there are 2 cells, and 4 columns"),
        RowProblem(line=7, message="the Object 'Account' is not known; allowed: Contact, Lead"),
        RowProblem(line=10, message="the Id '1' stands in line 2 already"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name the columns; there is no Id and Email"),
        ("Id,Name\n1,x\n", "the first line must name the columns; there is no Email"),
        ("Id,Email,ID\n1,a@b.test,1\n", "a column is named twice"),
        ('Id,Email\n"1,a@b.test\n', "this is not CSV: unexpected end of data"),
    ],
)
def test_a_file_that_is_none(text: str, message: str) -> None:
    found = read_contacts(text, default=ContactObject.CONTACT)
    assert found.contacts == ()
    assert [problem.message for problem in found.problems] == [message]


def test_what_is_written_has_salesforce_s_columns_and_is_read_back() -> None:
    date = datetime(2026, 5, 6, 14, tzinfo=timezone(timedelta(hours=2)))
    flagged = ContactStatus(
        contact=BOB,
        is_email_bounced=True,
        email_bounced_reason='550 5.1.1 "no", he said',
        email_bounced_date=date,
        bounce_id="b1",
    )
    text = "".join(write_contacts([flagged]))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {
        "Object": "Contact",
        "Id": "003A",
        "Email": "bob@b.test",
        "FirstName": "Bob",
        "LastName": "B, C",
        "IsEmailBounced": "true",
        "EmailBouncedReason": '550 5.1.1 "no", he said',
        "EmailBouncedDate": "2026-05-06T12:00:00Z",
    }
    assert read_contacts(text, default=ContactObject.LEAD).contacts == (BOB,)
