"""Samples as they came, and minutes made of them."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from cluster.models import Device, GpuClass, Node, Pool


class SampleBatch(models.Model):
    """One delivery of a node; (node, boot id, sequence) makes a repeat harmless."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    boot_id = models.CharField(max_length=64)
    sequence = models.BigIntegerField()
    received_at = models.DateTimeField(auto_now_add=True)
    rows = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "boot_id", "sequence"], name="batch_counts_once")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.sequence}"


class Sample(models.Model):
    """What NVML said of one device at one moment. None is a gap, never zero."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="samples", db_index=False)
    at = models.DateTimeField()
    utilisation_percent = models.SmallIntegerField(null=True)
    sm_active_percent = models.FloatField(null=True)
    tensor_active_percent = models.FloatField(null=True)
    memory_used_mib = models.IntegerField(null=True)
    power_watts = models.FloatField(null=True)
    energy_mj = models.BigIntegerField(null=True)
    temperature_c = models.SmallIntegerField(null=True)
    process_count = models.SmallIntegerField(null=True)

    class Meta:
        indexes = [BrinIndex(fields=["at"], name="sample_at_brin", autosummarize=True)]
        constraints = [models.UniqueConstraint(fields=["device", "at"], name="one_sample_per_device_and_moment")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.at:%H:%M:%S}"


class DeviceMinute(models.Model):
    """One device, one minute: the rollup that charts and usage are read from."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="minutes", db_index=False)
    minute = models.DateTimeField()
    samples = models.PositiveSmallIntegerField()
    utilisation_percent = models.FloatField(null=True)
    sm_active_percent = models.FloatField(null=True)
    memory_used_mib = models.FloatField(null=True)
    power_watts = models.FloatField(null=True)
    temperature_c = models.FloatField(null=True)
    process_count = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["device", "minute"], name="one_row_per_device_and_minute")]
        indexes = [models.Index(fields=["minute"])]

    def __str__(self) -> str:
        return f"{self.device_id} {self.minute:%H:%M}"


class PoolHour(models.Model):
    """One pool, one hour: device-seconds of which there is a measurement. What long spans are read from."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    used_seconds = models.BigIntegerField(help_text="device-seconds above the idle line")
    idle_seconds = models.BigIntegerField(help_text="device-seconds at or below it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pool", "hour"], name="one_row_per_pool_and_hour")]

    def __str__(self) -> str:
        return f"{self.pool_id} {self.hour:%Y-%m-%d %H}"


class IdlePower(models.Model):
    """What a kind of GPU draws while nobody has it: the 95th percentile of its minutes, learned by a job."""

    gpu_class = models.OneToOneField(GpuClass, on_delete=models.CASCADE, related_name="idle_power")
    watts = models.FloatField()
    samples = models.PositiveIntegerField(help_text="device-minutes that it was learned from")
    learned_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.gpu_class_id} {self.watts:.0f} W"
