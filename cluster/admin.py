"""The last resort: pools and GPU classes may be edited, everything with a lifecycle is read-only."""

from django.contrib import admin

from cluster.models import Device, GpuClass, Node, NodeCommand, Pool
from common.read_only_admin import ReadOnlyAdmin

admin.site.register(GpuClass)


@admin.register(Pool)
class PoolAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Whether organisations share a node is decided by a verb that looks at who is there."""

    readonly_fields = ("shared_nodes",)


admin.site.register(Node, ReadOnlyAdmin)
admin.site.register(Device, ReadOnlyAdmin)
admin.site.register(NodeCommand, ReadOnlyAdmin)
