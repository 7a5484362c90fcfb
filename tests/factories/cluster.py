"""Machines."""

import uuid
from datetime import timedelta

import factory
from django.db.backends.postgresql.psycopg_any import NumericRange
from django.utils import timezone

from cluster.mig import arrange, profiles_of
from cluster.models import Device, GpuClass, Node, Pool


class GpuClassFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = GpuClass
        django_get_or_create = ("code",)

    code = "h100-sxm-80"
    name = "NVIDIA H100 SXM 80 GB"
    nvml_name = factory.LazyAttribute(lambda row: "NVIDIA H100 80GB HBM3" if row.code == "h100-sxm-80" else row.code)
    memory_mib = 81_559
    memory_slices = 8


class PoolFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Pool

    name = factory.Sequence(lambda n: f"h100-{n}")
    gpu_class = factory.SubFactory(GpuClassFactory)
    turnaround_seconds = 0
    overcommit_percent = 1_000  # awards of a test are larger than its nodes; tests of the bound set their own


class NodeFactory(factory.django.DjangoModelFactory):
    """Ready and just heard of."""

    class Meta:
        model = Node

    name = factory.Sequence(lambda n: f"gpu-{n:04d}")
    pool = factory.SubFactory(PoolFactory)
    token_hash = factory.LazyFunction(lambda: uuid.uuid4().hex)
    boot_id = factory.LazyFunction(lambda: str(uuid.uuid4()))
    ssh_host = "127.0.0.1"
    last_seen_at = factory.LazyFunction(timezone.now)
    state = "ready"


class DeviceFactory(factory.django.DjangoModelFactory):
    """Available and well."""

    class Meta:
        model = Device

    node = factory.SubFactory(NodeFactory)
    uuid = factory.LazyFunction(lambda: f"GPU-{uuid.uuid4()}")
    index = factory.Sequence(lambda n: n % 8)
    gpu_class = factory.SelfAttribute("node.pool.gpu_class")
    memory_mib = 81_559
    power_limit_watts = 700
    state = "available"
    joined_at = factory.LazyFunction(lambda: timezone.now() - timedelta(days=900))


def cut(gpu: Device, *profiles: str, state: str = "available") -> list[Device]:
    """The GPU's MIG instances, as its node has made them; in the order of their places."""
    offered = {each.name: each for each in profiles_of(gpu.gpu_class.nvml_name)}
    layout = arrange(offered.values(), profiles)
    assert layout is not None
    gpu.layout, gpu.set_aside = [list(each) for each in layout], True
    gpu.save(update_fields=["layout", "set_aside"])
    return [
        DeviceFactory(
            node=gpu.node,
            uuid=f"MIG-{uuid.uuid4()}",
            index=gpu.index,
            memory_mib=9_984 * offered[name].memory,
            power_limit_watts=None,
            parent=gpu,
            profile=name,
            slices=NumericRange(start, start + offered[name].memory),
            state=state,
        )
        for name, start in layout
    ]


def make_node(pool: Pool, devices: int = 8, **fields: object) -> Node:
    """A node of the pool with that many available devices."""
    node: Node = NodeFactory(pool=pool, **fields)
    Device.objects.bulk_create(DeviceFactory.build(node=node, index=index) for index in range(devices))
    return node
