//! What the attributes accept, and what they answer to mistakes: one program for each.
//!
//! The good programs are modules here, so that they are linked once. The messages are those of the toolchain that
//! `rust-toolchain.toml` names: `TRYBUILD=overwrite` writes them anew; read what changed.

use std::process::Termination;

mod pass {
    pub(crate) mod another_path;
    pub(crate) mod associated_functions;
    pub(crate) mod doc_comments;
    pub(crate) mod every_word;
    pub(crate) mod fingerprints;
    pub(crate) mod generics;
    pub(crate) mod inside_a_function;
    pub(crate) mod odd_names;
    pub(crate) mod parameters;
    pub(crate) mod receivers;
    pub(crate) mod return_types;
    pub(crate) mod shadowed_names;
    pub(crate) mod sync_functions;
    pub(crate) mod visibility;
}

#[test]
fn each_mistake_is_answered_where_it_stands() {
    trybuild::TestCases::new().compile_fail("compile/fail/*.rs");
}

#[test]
fn flowkit_may_have_another_path() -> impl Termination {
    pass::another_path::main()
}

#[test]
fn a_function_without_a_receiver_may_stand_in_an_impl_block() -> impl Termination {
    pass::associated_functions::main()
}

#[test]
fn attributes_stay_where_they_belong_and_a_doc_comment_is_the_description() {
    pass::doc_comments::main();
}

#[test]
fn every_word_can_be_said_with_constants_for_values() {
    pass::every_word::main();
}

#[test]
fn a_fingerprint_is_that_of_the_code_wherever_it_stands() {
    pass::fingerprints::main();
}

#[test]
fn a_task_may_be_generic() -> impl Termination {
    pass::generics::main()
}

#[test]
fn a_task_may_be_declared_inside_of_a_function() -> impl Termination {
    pass::inside_a_function::main()
}

#[test]
fn parameters_may_be_called_what_they_like() -> impl Termination {
    pass::odd_names::main()
}

#[test]
fn a_task_has_up_to_twelve_inputs_and_resources_beside_them() -> impl Termination {
    pass::parameters::main()
}

#[test]
fn methods_may_be_tasks_and_flows() -> impl Termination {
    pass::receivers::main()
}

#[test]
fn a_return_type_that_ends_in_result_can_fail() -> impl Termination {
    pass::return_types::main()
}

#[test]
fn the_names_of_the_prelude_may_mean_something_else() -> impl Termination {
    pass::shadowed_names::main()
}

#[test]
fn a_task_may_be_a_plain_function() -> impl Termination {
    pass::sync_functions::main()
}

#[test]
fn a_task_is_as_visible_as_its_function() {
    pass::visibility::main();
}
