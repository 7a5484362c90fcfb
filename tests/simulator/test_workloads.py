"""What each workload looks like: the signature by which the portal tells them apart."""

from itertools import pairwise

from simulator.workloads import MODELS, Load

SEED, HOURS = 11, 3


def watch(kind: str) -> list[Load]:
    return [MODELS[kind](SEED, second) for second in range(0, HOURS * 3600, 10)]


def mean(loads: list[Load], name: str) -> float:
    return sum(getattr(load, name) for load in loads) / len(loads)


def test_training_is_busy_but_for_its_pauses_and_finetuning_pauses_more_often() -> None:
    shares = {}
    for kind, below in (("pretrain", 50), ("finetune", 60)):
        loads = watch(kind)
        low = [load.utilisation < below for load in loads]
        assert 0 < sum(low) < len(low) / 4
        shares[kind] = sum(1 for one, two in pairwise(low) if two and not one)
    assert shares["finetune"] > shares["pretrain"] >= 2
    assert mean(watch("pretrain"), "power_share") > mean(watch("finetune"), "power_share") > 0.6


def test_inference_comes_in_bursts_and_preprocessing_twitches() -> None:
    used = [load.utilisation for load in watch("inference")]
    assert min(used) < 20 and max(used) > 80
    twitches = watch("preprocess")
    assert max(load.utilisation for load in twitches) <= 15 and max(load.sm for load in twitches) < 5


def test_a_reserved_device_idles_and_a_hung_job_only_seems_busy() -> None:
    assert set(watch("idle")) == {Load()}
    hung = watch("hung")
    assert {load.utilisation for load in hung} == {100} and {load.tensor for load in hung} == {0.0}
    assert max(load.sm for load in hung) < 1
