"""What the API can ask the inbox for."""

import django_filters
from django.utils.translation import gettext_lazy as _

from common.filters import YesNoFilter
from notifications.models import Notification


class NotificationFilter(django_filters.FilterSet):
    unread = YesNoFilter(label=_("Unread"), field_name="read_at", lookup_expr="isnull")
    event = django_filters.CharFilter(label=_("Event"))

    class Meta:
        model = Notification
        fields: tuple[str, ...] = ()
