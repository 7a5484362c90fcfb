"""Organisations, MOUs and projects."""

from datetime import timedelta

import factory
from django.utils import timezone

from partners.models import Agreement, AgreementSignature, Membership, Organisation
from projects.models import Project, ProjectMember

_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


def registration_number(n: int) -> str:
    """A number of ten digits whose check digit is right; another one for each n."""
    digits = [int(char) for char in f"{100_000_000 + n:09d}"]
    total = sum(digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) + digits[8] * 5 // 10
    return "".join(map(str, digits)) + str((10 - total % 10) % 10)


class OrganisationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Organisation

    name_ko = factory.Sequence(lambda n: f"회사 {n}")
    name_en = factory.Sequence(lambda n: f"Company {n}")
    registration_number = factory.Sequence(registration_number)


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    organisation = factory.SubFactory(OrganisationFactory)
    user = factory.SubFactory("tests.factories.accounts.UserFactory")
    role = Membership.Role.MEMBER


class AgreementFactory(factory.django.DjangoModelFactory):
    """Active, a year around today, roomy ceilings."""

    class Meta:
        model = Agreement
        skip_postgeneration_save = True

    organisation = factory.SubFactory(OrganisationFactory)
    number = factory.Sequence(lambda n: f"MOU-2026-{n:05d}")
    title = "Joint use of GPUs"
    signed_on = factory.LazyFunction(lambda: timezone.localdate() - timedelta(days=60))
    valid_from = factory.LazyFunction(lambda: timezone.localdate() - timedelta(days=60))
    valid_until = factory.LazyFunction(lambda: timezone.localdate() + timedelta(days=300))
    agency_signatory = "Head of the agency"
    partner_signatory = "Head of the company"
    cooperation = factory.LazyFunction(lambda: ["business", "data", "technology", "spread"])
    ceiling_gpu_seconds = 1_000_000 * 3600
    ceiling_concurrent_gpus = 512
    gpu_classes = factory.LazyFunction(lambda: ["h100-sxm-80", "h200-sxm-141", "a100-sxm-80"])
    state = "active"
    # The row of a document, as activation needs it; the file itself is of no interest to most tests.
    document = "agreements/2026/factory.pdf"
    document_name = "agreement.pdf"
    document_sha256 = "0" * 64

    @factory.post_generation
    def signed(self: Agreement, create: bool, extracted: bool | None, **_kwargs: object) -> None:
        """Both sides have signed its document on paper, where that is said."""
        for side in ("agency", "partner") if create and extracted else ():
            AgreementSignature.objects.create(
                agreement=self,
                side=side,
                method="paper",
                signatory=f"Head of the {side}",
                signed_on=self.signed_on,
                document_sha256=self.document_sha256,
            )


class ProjectFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Project

    agreement = factory.SubFactory(AgreementFactory)
    organisation = factory.SelfAttribute("agreement.organisation")
    title = factory.Sequence(lambda n: f"Project {n}")
    proposal_ref = factory.Sequence(lambda n: f"prop-test{n:06d}")


class ProjectMemberFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = ProjectMember

    project = factory.SubFactory(ProjectFactory)
    user = factory.SubFactory("tests.factories.accounts.UserFactory")
