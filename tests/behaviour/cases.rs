//! Which test holds which acceptance case.
//!
//! A case has tests, or a reason why it has none: the compiler or the design makes it impossible, flowkit leaves it to
//! others on purpose, or it waits for a part of flowkit that is not there yet. A first cell that is empty belongs to the case above.
//!
//! | case | held by |
//! |---|---|
//! | 1 | `calls::a_task_called_in_a_flow_gives_its_value` |
//! | 2 | `calls::a_call_that_is_not_started_can_be_passed_on` |
//! | 4 | `failures::a_failure_that_is_looked_at_need_not_fail_the_flow` |
//! | 5 | `handles::a_handle_tells_the_state_and_gives_the_value_or_the_error` |
//! | 7 | `handles::a_handle_may_be_the_value_of_a_flow` |
//! | | `calls::passing_a_handle_draws_an_edge_named_after_the_parameter` |
//! | 8 | `failures::a_failure_that_nobody_looks_at_fails_the_flow_and_names_the_task` |
//! | 10 | `attempts::states_of_one_moment_keep_their_order` |
//! | | `attempts::attempts_are_numbered_and_begin_one_after_another` |
//! | 11 | `calls::tags_of_the_definition_the_call_and_the_surroundings_add_up` |
//! | 13 | `calls::tags_of_the_definition_the_call_and_the_surroundings_add_up` |
//! | 14 | `calls::a_run_is_named_after_its_inputs` |
//! | | `attempts::a_run_is_named_once_however_many_attempts_it_takes` |
//! | 16 | `retries::options_of_a_call_override_and_zero_is_not_absent` |
//! | | `attempts::what_a_call_does_not_say_is_as_the_attribute_says` |
//! | 17 | `calls::tasks_call_tasks_awaited_or_submitted` |
//! | 19 | `fan_outs::a_task_may_fan_out_too` |
//! | 20 | `failures::what_needs_a_failed_run_does_not_run_and_carries_its_error` |
//! | 22 | `failures::an_allowed_failure_is_an_input` |
//! | | `upstreams::an_allowed_failure_keeps_its_type_its_message_and_its_place` |
//! | 23 | `failures::an_allowed_failure_is_an_input` |
//! | | `upstreams::an_allowed_failure_keeps_its_type_its_message_and_its_place` |
//! | 25 | `upstreams::a_subflow_waits_for_what_it_is_told_to_and_tolerates_what_it_may` |
//! | 26 | `upstreams::a_cleanup_runs_after_a_chain_that_failed_in_the_middle` |
//! | | `fan_outs::chained_fan_outs_depend_item_by_item` |
//! | 28 | `calls::passing_a_handle_draws_an_edge_named_after_the_parameter` |
//! | | `upstreams::edges_say_which_parameter_a_run_feeds` |
//! | 29 | `upstreams::every_run_of_a_group_is_an_upstream_of_its_parameter` |
//! | | impossible by construction: a parameter has one type, so a handle deep inside a value does not compile |
//! | 31 | `upstreams::a_run_records_the_one_that_called_it_and_no_other_above` |
//! | 32 | `failures::an_allowed_failure_is_an_input` |
//! | | `upstreams::an_upstream_that_may_fail_is_an_upstream_all_the_same` |
//! | 34 | `fan_outs::many_and_deep_runs_finish` |
//! | 35 | `fan_outs::values_come_in_input_order` |
//! | 37 | `fan_outs::a_closure_says_what_varies_and_what_stays` |
//! | 38 | impossible by construction: only an iterator of calls has `submit_all` |
//! | 40 | `fan_outs::a_closure_says_what_varies_and_what_stays` |
//! | 41 | `fan_outs::a_closure_says_what_varies_and_what_stays` |
//! | 43 | `fan_outs::outside_a_flow_a_fan_out_is_a_run_of_its_own` |
//! | 44 | `fan_outs::a_fan_out_that_was_waited_for_still_has_its_states_and_values` |
//! | 46 | `upstreams::every_item_of_a_fan_out_may_be_given_the_same_failure` |
//! | 47 | `upstreams::each_item_of_a_fan_out_has_the_edges_of_its_own_inputs` |
//! | | `fan_outs::an_item_starts_when_its_own_input_is_there` |
//! | | `fan_outs::chained_fan_outs_depend_item_by_item` |
//! | 49 | `calls::waiting_for_a_time_gives_the_state_and_changes_nothing` |
//! | | `handles::giving_up_on_a_value_leaves_its_run_alone` |
//! | 50 | `handles::a_handle_tells_the_state_and_gives_the_value_or_the_error` |
//! | | `fan_outs::some_failures_can_be_tolerated` |
//! | 52 | `handles::several_are_waited_for_side_by_side_within_one_limit` |
//! | 53 | impossible by construction: a `Duration` is never negative |
//! | 55 | `handles::what_completed_within_a_limit_is_told_from_what_did_not` |
//! | 56 | `handles::no_time_at_all_is_enough_for_what_has_completed` |
//! | 58 | `handles::the_first_error_in_time_need_not_wait_for_those_before_it` |
//! | 59 | `handles::outcomes_have_the_error_in_the_place_of_the_value` |
//! | | `fan_outs::some_failures_can_be_tolerated` |
//! | 61 | `runtimes::an_observer_that_panics_changes_nothing` |
//! | 62 | `upstreams::every_run_of_a_group_is_an_upstream_of_its_parameter` |
//! | | impossible by construction: a structure of handles is not a value of the structure's type, so it is awaited field by field |
//! | 64 | `final_states::a_flow_completes_with_its_value_and_fails_with_its_error` |
//! | 65 | `final_states::the_error_of_a_flow_keeps_its_message_and_its_data` |
//! | | impossible by construction: a body returns a value or an error, never a state |
//! | 67 | `final_states::of_several_failures_the_first_in_order_is_the_flows_and_all_are_counted` |
//! | | `failures::a_flow_passes_the_error_of_its_task_on` |
//! | 68 | `final_states::of_several_failures_the_first_in_order_is_the_flows_and_all_are_counted` |
//! | | impossible by construction: states are not returned, so none are put together |
//! | 70 | `final_states::cancelled_failed_and_completed_runs_are_counted_apart` |
//! | | impossible by construction: states are not returned, so none are put together |
//! | 71 | `final_states::a_flow_that_passes_a_cancelled_run_on_does_not_complete` |
//! | | `cancellation::a_cancelled_flow_cancels_what_has_not_ended_below_it` |
//! | 73 | `pauses::a_paused_run_goes_on_with_what_it_is_given` |
//! | 74 | `final_states::errors_and_states_that_are_only_data_do_not_fail_a_flow` |
//! | 76 | `final_states::each_kind_of_end_has_an_error_of_its_own` |
//! | 77 | `final_states::of_several_failures_the_first_in_order_is_the_flows_and_all_are_counted` |
//! | 79 | `retries::attempts_are_retries_plus_one` |
//! | 80 | `retries::attempts_are_retries_plus_one` |
//! | 82 | `attempts::attempts_are_numbered_and_begin_one_after_another` |
//! | 83 | `retries::delays_follow_the_list_and_the_last_repeats` |
//! | | `attempts::each_retry_waits_for_its_own_delay` |
//! | 85 | `retries::a_runtime_has_defaults_for_tasks_that_say_nothing` |
//! | 86 | `retries::a_predicate_over_the_typed_error_decides` |
//! | | `attempts::a_predicate_is_asked_once_for_each_failure` |
//! | 88 | `retries::attempts_are_retries_plus_one` |
//! | | impossible by construction: `Err` is the one way to fail, and it is retried |
//! | 89 | `compile::each_mistake_is_answered_where_it_stands` |
//! | 91 | `retries::retries_of_an_inner_task_begin_anew_with_each_outer_attempt` |
//! | 92 | `attempts::the_time_a_run_took_includes_all_attempts` |
//! | 94 | `flow_retries::a_flow_that_fails_runs_again` |
//! | 95 | `flow_retries::what_completed_in_an_earlier_attempt_does_not_run_again` |
//! | 97 | `flow_retries::a_tasks_retries_begin_anew_with_each_attempt_of_its_flow` |
//! | 98 | `flow_retries::a_parent_runs_its_child_again_and_the_child_itself_too` |
//! | 100 | `failures::a_timeout_ends_an_attempt_on_time` |
//! | | `attempts::a_body_that_takes_too_long_is_cleaned_up` |
//! | 101 | `failures::the_waiter_of_a_blocking_body_is_released_and_the_body_counted` |
//! | 103 | `boundaries::a_timeout_that_is_far_away_does_nothing` |
//! | | `boundaries::an_attempt_that_ends_with_its_timeout_ended_in_time` |
//! | 104 | `attempts::a_cancelled_run_did_not_time_out` |
//! | 106 | `failures::a_flow_that_takes_too_long_is_stopped_where_it_waits` |
//! | | `boundaries::a_flow_that_ends_with_its_timeout_ended_in_time` |
//! | 107 | `failures::a_flow_that_takes_too_long_is_stopped_where_it_waits` |
//! | 109 | `structure::the_time_of_a_subflow_begins_when_its_body_does` |
//! | 110 | `failures::a_panic_is_caught_and_its_message_kept` |
//! | | `journaled::what_a_dead_process_left_is_marked_as_crashed_at_the_next_start` |
//! | 112 | `handles::what_has_ended_cannot_be_cancelled` |
//! | 113 | `failures::a_panic_before_the_body_begins_is_a_crash_all_the_same` |
//! | 115 | `caching::equal_inputs_share_a_result_within_a_run_and_later` |
//! | 116 | `keys::one_key_for_all_inputs_is_one_result` |
//! | 118 | `caching::a_key_of_ones_own_may_say_not_to_cache` |
//! | | `keys::a_key_of_ones_own_is_made_from_the_parameters_it_names` |
//! | 119 | `keys::a_key_of_ones_own_can_ask_for_the_run_it_is_computed_in` |
//! | | `caching::with_the_run_in_the_key_results_stay_within_it` |
//! | 121 | `keys::the_way_in_which_a_value_is_passed_is_not_part_of_the_key` |
//! | 122 | `caching::a_result_expires_from_the_moment_of_completion` |
//! | | `boundaries::a_result_is_gone_in_the_moment_it_expires` |
//! | 124 | `caching::a_refresh_runs_and_replaces` |
//! | 125 | `keys::a_runtime_may_refresh_all_but_those_that_say_no` |
//! | 127 | `compile::each_mistake_is_answered_where_it_stands` |
//! | 128 | `caching::two_tasks_never_share_a_key` |
//! | | `compile::a_fingerprint_is_that_of_the_code_wherever_it_stands` |
//! | 130 | `keys::an_input_that_is_left_out_may_differ_and_need_not_be_serializable` |
//! | | `caching::equal_inputs_share_a_result_within_a_run_and_later` |
//! | 131 | `caching::an_input_that_refuses_to_be_serialized_leaves_the_task_uncached_and_says_why` |
//! | 133 | `compile::each_mistake_is_answered_where_it_stands` |
//! | | impossible by construction: a policy is a few words of the attribute, which hold no other policy |
//! | 134 | `compile::each_mistake_is_answered_where_it_stands` |
//! | | impossible by construction: a store and a lock belong to the runtime, so policies cannot differ in them |
//! | 136 | `keys::a_parameter_of_the_flow_counts_where_it_is_passed_on` |
//! | 137 | `compile::each_mistake_is_answered_where_it_stands` |
//! | 139 | `caching::nothing_is_a_value_like_any_other` |
//! | | `kept::plain_values_come_back_as_they_were` |
//! | 140 | not ours: a key and its value are one entry of one store |
//! | 142 | `caching::equal_calls_at_one_time_run_once` |
//! | | impossible by construction: equal calls of a runtime always run once, so there is nothing to configure |
//! | 143 | `keys::a_task_that_calls_another_twice_is_served_the_second_time` |
//! | | `transactions::a_result_is_kept_when_its_group_commits_and_never_if_it_does_not` |
//! | 145 | `kept::a_task_that_is_not_cached_leaves_nothing_behind` |
//! | 146 | `kept::plain_values_come_back_as_they_were` |
//! | | `caching::results_outlive_a_runtime_in_its_directory` |
//! | 148 | `kept::a_failure_is_told_whole_and_not_kept` |
//! | | `journaled::the_error_of_a_run_is_told_to_later_processes` |
//! | 149 | `keys::a_key_of_ones_own_is_made_from_the_parameters_it_names` |
//! | 151 | not ours: a runtime has one store and one codec |
//! | 152 | `kept::a_value_that_refuses_to_be_serialized_is_given_and_not_kept` |
//! | 154 | not ours: a value and what is known of it are one entry, removed together |
//! | 155 | `keys::one_key_for_all_inputs_is_one_result` |
//! | | `compile::each_mistake_is_answered_where_it_stands` |
//! | 157 | `transactions::a_task_outside_any_transaction_commits_when_it_completes` |
//! | 158 | `transactions::a_transaction_inside_another_is_undone_with_it_and_can_be_undone_alone` |
//! | 160 | `transactions::what_is_served_from_the_cache_is_neither_committed_nor_undone` |
//! | 161 | `transactions::on_error_what_completed_is_undone_the_last_first` |
//! | 163 | `transactions::on_success_all_commit_in_the_order_of_completion_and_not_before` |
//! | 164 | `transactions::a_result_is_kept_when_its_group_commits_and_never_if_it_does_not` |
//! | 166 | `caching::equal_calls_at_one_time_run_once` |
//! | | `processes::two_processes_share_a_directory_one_after_the_other_and_collide_politely` |
//! | 167 | not ours: equal calls of a runtime run once, and one process at a time uses a directory, so there are no locks to hold |
//! | 169 | `hooks::hooks_are_called_in_order_for_how_the_run_ended_and_for_nothing_else` |
//! | 170 | `runtimes::an_observer_that_panics_changes_nothing` |
//! | | `hooks::a_hook_that_fails_panics_or_hangs_is_recorded_and_changes_nothing` |
//! | 172 | `retries::attempts_are_retries_plus_one` |
//! | | `hooks::the_running_hook_is_called_for_every_attempt_and_the_failure_hook_once` |
//! | 173 | `hooks::flows_have_hooks_too_and_a_retried_one_fails_once` |
//! | 175 | `hooks::cancelling_and_panicking_have_hooks_of_their_own` |
//! | | `hooks::flows_have_hooks_too_and_a_retried_one_fails_once` |
//! | 176 | not ours: a signal is the program's to catch, and what it then cancels has its hooks called |
//! | 178 | `structure::subflows_run_side_by_side_and_are_linked_to_their_parent` |
//! | 179 | `structure::subflows_run_side_by_side_and_are_linked_to_their_parent` |
//! | | `runtimes::a_subflow_says_which_run_of_its_parent_stands_for_it` |
//! | 181 | `compile::each_mistake_is_answered_where_it_stands` |
//! | | `named::a_parameter_that_is_wrong_is_named_and_nothing_runs` |
//! | 182 | `journaled::parameters_and_the_result_can_be_read` |
//! | 184 | `fan_outs::many_and_deep_runs_finish` |
//! | | `slots::a_tree_of_nested_tasks_finishes_at_limit_1` |
//! | 185 | `calls::tags_of_the_definition_the_call_and_the_surroundings_add_up` |
//! | 187 | `limits::attempts_begin_no_faster_than_a_rate_limit_allows` |
//! | 188 | `limits::who_waits_for_a_slot_no_longer_than_it_likes_never_begins` |
//! | 190 | `limits::what_cannot_be_had_is_an_error_and_not_a_wait` |
//! | 191 | not ours: a limit belongs to one runtime, whose guards need no lease |
//! | 193 | waits for schedules |
//! | 194 | `handles::what_has_ended_cannot_be_cancelled` |
//! | 196 | `cancellation::a_cancelled_flow_cancels_what_has_not_ended_below_it` |
//! | 197 | `pauses::a_paused_run_goes_on_with_what_it_is_given` |
//! | | `pauses::a_pause_that_is_not_resumed_in_time_fails_and_what_follows_does_not_run` |
//! | | `pauses::each_key_is_asked_for_once_also_over_the_attempts_of_a_flow` |
//! | 199 | waits for schedules |
//! | 200 | `logs::a_line_of_a_task_names_its_flow_run_its_task_run_and_its_attempt` |
//! | | `logs::a_line_of_a_task_that_another_called_names_both` |
//! | | `logs::a_line_of_a_blocking_body_names_its_run_too` |
//! | | `logs::a_flow_knows_its_run_and_outside_of_runs_there_is_none` |
//! | | `logs::a_line_of_a_flows_own_body_names_its_flow_run_and_no_task_run` |
//! | Z1 | `caching::equal_calls_at_one_time_run_once` |
//! | | `boundaries::an_equal_call_in_the_moment_of_completion_does_not_run_again` |
//! | Z2 | `caching::two_tasks_never_share_a_key` |
//! | Z3 | `caching::the_order_of_a_set_does_not_count` |
//! | | `process::the_keys_of_hash_sets_and_maps_are_the_same_in_every_process` |
//! | Z4 | `keys::values_of_different_types_have_different_keys` |
//! | Z6 | `caching::equal_inputs_share_a_result_within_a_run_and_later` |
//! | | `caching::a_directory_that_cannot_be_used_leaves_tasks_uncached_and_is_named` |
//! | Z7 | `failures::everything_submitted_ends_before_its_flow` |
//! | Z8 | `failures::a_failure_that_nobody_looks_at_fails_the_flow_and_names_the_task` |
//! | Z9 | `fan_outs::a_run_that_waits_for_its_own_fan_out_does_not_keep_it_from_running` |
//! | | `slots::a_tree_of_nested_tasks_finishes_at_limit_1` |
//! | Z11 | `attempts::a_body_that_takes_too_long_is_cleaned_up` |
//! | Z12 | `retries::timeouts_are_retried_within_the_total_timeout` |
//! | | `retries::timeouts_are_not_retried_if_that_is_said` |
//! | Z13 | `journaled::what_a_dead_process_left_is_marked_as_crashed_at_the_next_start` |
//! | Z14 | `runtimes::an_observer_that_panics_changes_nothing` |
//! | | `caching::a_directory_that_cannot_be_used_leaves_tasks_uncached_and_is_named` |
//! | Z15 | `failures::a_cancelled_run_says_so_to_those_who_wait` |
//! | | `cancellation::a_cancelled_task_takes_what_it_submitted_with_it` |
//! | | `cancellation::a_run_that_waits_for_its_next_attempt_can_be_cancelled` |
//! | Z16 | `hooks::a_hook_that_fails_panics_or_hangs_is_recorded_and_changes_nothing` |
//! | Z17 | `caching::an_input_that_refuses_to_be_serialized_leaves_the_task_uncached_and_says_why` |
//! | Z19 | impossible by construction: a submitted run is a task of the tokio runtime that submits it |
//! | Z20 | `caching::only_successes_are_cached` |
//! | | `kept::a_failure_is_told_whole_and_not_kept` |
//! | Z21 | `retries::a_predicate_over_the_typed_error_decides` |
//! | | `attempts::a_predicate_that_panics_asks_for_no_retry` |
//! | | `hooks::the_running_hook_is_called_for_every_attempt_and_the_failure_hook_once` |
//! | Z22 | `fan_outs::an_empty_fan_out_is_an_empty_result` |
//! | | `transactions::on_error_what_completed_is_undone_the_last_first` |
//! | Z23 | `fan_outs::every_run_is_in_the_record_however_it_was_called` |
//! | | `journaled::as_many_rows_are_recorded_as_runs_were_executed` |
//! | Z24 | `journaled::a_task_run_takes_a_small_part_of_a_page` |

use std::collections::BTreeSet;

/// The file with the table above.
const OWN: &str = include_str!("cases.rs");

/// The sources that tests are named from, by the names of their modules.
const SOURCES: &[(&str, &str)] = &[
    ("attempts", include_str!("attempts.rs")),
    ("boundaries", include_str!("boundaries.rs")),
    ("caching", include_str!("caching.rs")),
    ("calls", include_str!("calls.rs")),
    ("cancellation", include_str!("cancellation.rs")),
    ("failures", include_str!("failures.rs")),
    ("fan_outs", include_str!("fan_outs.rs")),
    ("final_states", include_str!("final_states.rs")),
    ("flow_retries", include_str!("flow_retries.rs")),
    ("hooks", include_str!("hooks.rs")),
    ("handles", include_str!("handles.rs")),
    ("kept", include_str!("kept.rs")),
    ("journaled", include_str!("journaled.rs")),
    ("named", include_str!("named.rs")),
    ("keys", include_str!("keys.rs")),
    ("limits", include_str!("limits.rs")),
    ("pauses", include_str!("pauses.rs")),
    ("retries", include_str!("retries.rs")),
    ("runtimes", include_str!("runtimes.rs")),
    ("slots", include_str!("slots.rs")),
    ("structure", include_str!("structure.rs")),
    ("transactions", include_str!("transactions.rs")),
    ("upstreams", include_str!("upstreams.rs")),
    ("compile", include_str!("../compile/main.rs")),
    ("logs", include_str!("../logs/main.rs")),
    (
        "processes",
        include_str!("../../flowkit-cache/tests/processes.rs"),
    ),
    (
        "process",
        include_str!("../../flowkit-cache/tests/key/process.rs"),
    ),
];

/// The parts of flowkit that cases wait for.
const PARTS: &[&str] = &["schedules"];

/// The numbers of the acceptance cases, which have gaps.
fn numbers() -> BTreeSet<String> {
    let main = (1..=200).filter(|n| n % 3 != 0).map(|n| n.to_string());
    let own = (1..=24).filter(|n| ![5, 10, 18].contains(n));
    main.chain(own.map(|n| format!("Z{n}"))).collect()
}

/// A case, and what holds it.
struct Row {
    case: String,
    held_by: Vec<String>,
}

/// The rows of the table.
fn table() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let lines = OWN.lines().filter_map(|line| line.strip_prefix("//! | "));
    for line in lines.skip(1) {
        let cells = line.strip_suffix(" |").unwrap();
        let (case, held_by) = match cells.strip_prefix("| ") {
            Some(held_by) => ("", held_by),
            None => cells.split_once(" | ").unwrap(),
        };
        if !case.is_empty() {
            rows.push(Row {
                case: case.to_owned(),
                held_by: Vec::new(),
            });
        }
        let row = rows.last_mut().expect("the first row names its case");
        row.held_by.push(held_by.trim_matches('`').to_owned());
    }
    rows
}

/// A test of a source: its name, and the cases that the comment above it names.
struct Test {
    name: String,
    cases: Vec<String>,
}

/// The tests of a source.
fn tests_of(source: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let (mut comment, mut is_test) = ("", false);
    for line in source.lines() {
        let line = line.trim_start();
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(cases) = line.strip_prefix("// ") {
            comment = if comment.is_empty() { cases } else { comment };
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let (Some(function), true) = (function, is_test) {
            let cases = comment.split(':').next().unwrap_or_default().split(", ");
            tests.push(Test {
                name: function.split('(').next().unwrap_or_default().to_owned(),
                cases: cases.map(str::to_owned).filter(|case| is_number(case)).collect(),
            });
            (comment, is_test) = ("", false);
        } else {
            (comment, is_test) = ("", false);
        }
    }
    tests
}

fn is_number(case: &str) -> bool {
    let digits = case.strip_prefix('Z').unwrap_or(case);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// Every test of every source, as the table names it.
fn tests() -> Vec<(String, Test)> {
    let sources = SOURCES.iter();
    let tests = sources.flat_map(|(module, source)| {
        let tests = tests_of(source).into_iter();
        tests.map(move |test| (format!("{module}::{}", test.name), test))
    });
    tests.collect()
}

#[test]
fn every_case_is_in_the_table_once() {
    let rows = table();
    let cases: BTreeSet<_> = rows.iter().map(|row| row.case.clone()).collect();
    assert_eq!(cases, numbers());
    assert_eq!(rows.len(), cases.len(), "none is listed twice");
    for row in &rows {
        let once: BTreeSet<_> = row.held_by.iter().collect();
        assert_eq!(
            once.len(),
            row.held_by.len(),
            "case {} says one thing twice",
            row.case
        );
    }
}

#[test]
fn what_the_table_names_is_a_test_or_a_reason() {
    let tests: BTreeSet<_> = tests().into_iter().map(|(name, _)| name).collect();
    for row in table() {
        for held_by in &row.held_by {
            let is_reason = ["impossible by construction: ", "not ours: "]
                .iter()
                .any(|reason| held_by.starts_with(reason));
            let part = held_by.strip_prefix("waits for ");
            let waits = part.is_some_and(|part| PARTS.contains(&part.split(':').next().unwrap_or(part)));
            assert!(
                is_reason || waits || tests.contains(held_by),
                "case {}: `{held_by}` is neither a test nor a reason",
                row.case
            );
        }
    }
}

#[test]
fn a_test_that_names_a_case_stands_in_the_row_of_it() {
    let rows = table();
    for (name, test) in tests() {
        for case in test.cases {
            let row = rows.iter().find(|row| row.case == case);
            let row = row.unwrap_or_else(|| panic!("`{name}` names a case {case} that there is not"));
            assert!(
                row.held_by.contains(&name),
                "`{name}` names case {case}, whose row does not name it"
            );
        }
    }
}
