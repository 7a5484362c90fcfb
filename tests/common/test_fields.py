"""What a form says of each field when it comes back, and what a browser is told of it."""

from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.utils.translation import override

from common.forms import Form


class Paper(forms.Form):
    title = forms.CharField(max_length=20)
    scan = forms.FileField(required=False)


def shown(*data: object) -> str:
    with override("en"):
        return render_to_string("common/_form.html", {"form": Paper(*data)})


def test_a_refused_form_names_the_file_that_has_to_be_chosen_again() -> None:
    upload = SimpleUploadedFile("협약서<1>.pdf", b"%PDF-1.7")
    page = shown({"title": ""}, {"scan": upload})
    assert "협약서&lt;1&gt;.pdf" in page
    assert "Please choose it again." in page
    assert "data-lost-upload" not in shown({"title": ""})
    assert "data-lost-upload" not in shown()


def test_no_browser_cuts_what_is_too_long_and_the_form_keeps_all_of_it() -> None:
    page = shown({"title": "x" * 25})
    assert "maxlength" not in page
    assert 'data-most="20"' in page
    assert "x" * 25 in page
    assert "at most 20 characters (it has 25)" in page


class Asking(Form):
    reason = forms.CharField(label="Reason")
    gpu_class = forms.ChoiceField(choices=[("a", "A")])
    scan = forms.FileField(label="Scan")
    sure = forms.BooleanField(label="I am sure")
    note = forms.CharField(error_messages={"required": "Say why."})


def test_a_field_that_is_left_empty_is_named_with_what_to_do() -> None:
    with override("en"):
        assert {name: list(errors) for name, errors in Asking({}, {}).errors.items()} == {
            "reason": ["Enter “Reason”."],
            "gpu_class": ["Choose “Gpu class”."],
            "scan": ["Choose a file for “Scan”."],
            "sure": ["Tick “I am sure”."],
            "note": ["Say why."],
        }
    with override("ko"):
        assert list(Asking({}, {}).errors["reason"]) == ["Reason을(를) 입력하십시오."]
