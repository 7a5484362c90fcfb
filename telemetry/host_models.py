"""What the machines around the devices did: processor, memory, disks, network. Partitioned by time."""

from django.db import models

from cluster.models import Node
from telemetry.fields import RealField


class HostMeans(models.Model):
    """A node over a stretch of time; rates are bytes a second. None where nothing was said, never zero."""

    disk_read_bytes = models.BigIntegerField(null=True)
    disk_written_bytes = models.BigIntegerField(null=True)
    network_received_bytes = models.BigIntegerField(null=True)
    network_sent_bytes = models.BigIntegerField(null=True)
    cpu_percent = RealField(null=True)
    load = RealField(null=True)
    memory_used_mib = models.IntegerField(null=True)
    memory_total_mib = models.IntegerField(null=True)
    disk_used_mib = models.IntegerField(null=True)
    disk_total_mib = models.IntegerField(null=True)
    node = models.ForeignKey(Node, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)

    class Meta:
        abstract = True


class NodeMinute(HostMeans):
    """One node, one minute, as its agent says it once a minute. Kept as long as the devices' minutes."""

    pk = models.CompositePrimaryKey("node_id", "minute")
    minute = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.node_id} {self.minute:%H:%M}"


class NodeHour(HostMeans):
    """One node, one hour: the means of its minutes, kept up with each of them. Kept as long as the devices' hours."""

    pk = models.CompositePrimaryKey("node_id", "hour")
    hour = models.DateTimeField()
    samples = models.SmallIntegerField(help_text="minutes of which something was said")

    def __str__(self) -> str:
        return f"{self.node_id} {self.hour:%Y-%m-%d %H}"
