//! Nothing: cargo wants a package to have more than tests, which are all in the directories beside this one.
