"""Who will work on what is asked for."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from proposals.models.proposals import Proposal


class ProposalMember(models.Model):
    """One person of the team; `user` where they have an account in the organisation."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="team")
    place = models.PositiveSmallIntegerField()
    name = models.CharField(_("name"), max_length=100)
    email = models.EmailField(_("e-mail"), blank=True)
    part = models.CharField(_("part in the project"), max_length=200)
    experience = models.CharField(_("experience with GPUs"), max_length=1000, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["place"]
        constraints = [models.UniqueConstraint(fields=["proposal", "place"], name="proposal_member_place_once")]

    def __str__(self) -> str:
        return self.name
