from rollout.samplers.uniform import uniform
from tests.support.builders import problem

PROBLEMS = [problem(str(i)) for i in range(5)]


def ids(problems):
    return [p.id for p in problems]


def test_an_epoch_has_every_problem_once():
    sampler = uniform(PROBLEMS, 0)
    assert sorted(ids(sampler.next(5))) == ["0", "1", "2", "3", "4"]


def test_a_request_may_run_over_the_end_of_an_epoch():
    whole = uniform(PROBLEMS, 0)
    parts = uniform(PROBLEMS, 0)
    assert ids(whole.next(12)) == ids([*parts.next(3), *parts.next(7), *parts.next(2)])


def test_each_epoch_and_each_seed_has_its_own_order():
    many = [problem(str(i)) for i in range(20)]  # so that no two orders are alike by chance
    sampler = uniform(many, 0)
    epochs = [ids(sampler.next(20)) for _ in range(3)]
    others = [ids(uniform(many, seed).next(20)) for seed in (1, 2)]
    orders = [*epochs, *others]
    assert all(orders.count(order) == 1 for order in orders)


def test_the_state_is_the_position_alone():
    sampler = uniform(PROBLEMS, 3)
    sampler.next(7)
    assert sampler.state_dict() == {"position": 7}
