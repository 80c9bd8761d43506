from tests.support.verifiers import broken, judge, pays, raises


def test_the_largest_reward_counts():
    components = {"exact": pays(0, answer="7"), "loose": pays(0.5, answer="seven", correct=False)}
    verdict = judge("best_of", components=components)
    assert (verdict.reward, verdict.answer, verdict.correct) == (0.5, "seven", False)
    assert verdict.components == {"exact": 0, "loose": 0.5}


def test_any_component_may_call_it_correct():
    components = {"loose": pays(0.5, correct=False), "exact": pays(0.2, correct=True)}
    verdict = judge("best_of", components=components)
    assert (verdict.reward, verdict.correct) == (0.5, True)


def test_of_equal_rewards_a_correct_one_gives_the_answer_then_the_first():
    assert (
        judge(
            "best_of",
            components={
                "a": pays(1, correct=False, answer="a"),
                "b": pays(1, answer="b"),
                "c": pays(1, answer="c"),
            },
        ).answer
        == "b"
    )


def test_a_missing_component_might_have_been_the_best():
    components = {"exact": pays(0), "judge": broken("down")}
    verdict = judge("best_of", components=components)
    assert verdict.is_missing
    assert verdict.reason == "judge: down"
    assert judge("best_of", components=components, missing="skip").reward == 0


def test_nothing_but_missing_components_is_missing():
    assert judge("best_of", components={"a": broken(), "b": raises}, missing="skip").is_missing
