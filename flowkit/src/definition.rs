//! What an annotated function is, apart from any call of it: a constant that the attribute writes.

use flowkit_cache::{CacheKey, KeyError, KeyHasher};

use crate::hook::Hooks;
use crate::options::TaskOptions;

/// Where an annotated function stands in the source. Its crate, module path and name are the task's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The package that the function is compiled in.
    pub package: &'static str,
    /// The function's module path.
    pub module: &'static str,
    /// The source file, as the compiler was given it.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
}

/// Whether a definition is a task's or a flow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefinitionKind {
    /// Written with `#[task]`.
    Task,
    /// Written with `#[flow]`.
    Flow,
}

/// What the key of a cached task holds beside the task's identity and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    run: bool,
}

impl CachePolicy {
    /// The inputs: equal inputs share a result, in this run and in every later one.
    pub const fn inputs() -> Self {
        Self { run: false }
    }

    /// The inputs and the flow run: equal inputs share a result within one run.
    pub const fn inputs_and_run() -> Self {
        Self { run: true }
    }

    /// Whether the flow run is part of the key.
    pub const fn holds_run(&self) -> bool {
        self.run
    }
}

/// Adds the code of what a task includes to a key.
pub(crate) type Includes = fn(&mut KeyHasher) -> Result<(), KeyError>;

/// The definition of a task or flow: its names, and its options as the attribute states them.
///
/// The attributes make one for each function; read it as `extract::DEFINITION`.
#[derive(Debug)]
pub struct Definition {
    kind: DefinitionKind,
    name: &'static str,
    place: Place,
    description: &'static str,
    tags: &'static [&'static str],
    version: Option<&'static str>,
    parameters: &'static [&'static str],
    fingerprint: &'static str,
    includes: Option<Includes>,
    cache: Option<CachePolicy>,
    hooks: Hooks,
    effect: bool,
    /// Whether the options say nothing.
    plain: bool,
    options: TaskOptions,
}

impl Definition {
    /// A task of this name at this place.
    #[doc(hidden)]
    pub const fn task(name: &'static str, place: Place, options: TaskOptions) -> Self {
        Self::new(DefinitionKind::Task, name, place, options)
    }

    /// A flow of this name at this place.
    #[doc(hidden)]
    pub const fn flow(name: &'static str, place: Place, options: TaskOptions) -> Self {
        Self::new(DefinitionKind::Flow, name, place, options)
    }

    /// What stands for a task that is not known, or not yet.
    pub(crate) const fn nameless(stands_for: &'static str) -> Self {
        let nowhere = Place {
            package: "",
            module: "",
            file: "",
            line: 0,
        };
        Self::task(stands_for, nowhere, TaskOptions::new())
    }

    const fn new(kind: DefinitionKind, name: &'static str, place: Place, options: TaskOptions) -> Self {
        Self {
            kind,
            name,
            place,
            description: "",
            tags: &[],
            version: None,
            parameters: &[],
            fingerprint: "",
            includes: None,
            cache: None,
            hooks: Hooks::new(),
            effect: false,
            plain: options.says_nothing(),
            options,
        }
    }

    #[doc(hidden)]
    pub const fn with_description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    #[doc(hidden)]
    pub const fn with_tags(mut self, tags: &'static [&'static str]) -> Self {
        self.tags = tags;
        self
    }

    #[doc(hidden)]
    pub const fn with_version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    #[doc(hidden)]
    pub const fn with_parameters(mut self, parameters: &'static [&'static str]) -> Self {
        self.parameters = parameters;
        self
    }

    #[doc(hidden)]
    pub const fn with_fingerprint(mut self, fingerprint: &'static str) -> Self {
        self.fingerprint = fingerprint;
        self
    }

    #[doc(hidden)]
    pub const fn with_includes(mut self, includes: fn(&mut KeyHasher) -> Result<(), KeyError>) -> Self {
        self.includes = Some(includes);
        self
    }

    #[doc(hidden)]
    pub const fn with_cache(mut self, cache: CachePolicy) -> Self {
        self.cache = Some(cache);
        self
    }

    #[doc(hidden)]
    pub const fn with_hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    #[doc(hidden)]
    pub const fn with_effect(mut self) -> Self {
        self.effect = true;
        self
    }

    /// Whether the body has an effect that must not be repeated: the attribute says `effect`.
    pub const fn has_effect(&self) -> bool {
        self.effect
    }

    /// Whether runs have neither options nor hooks by the attribute.
    pub(crate) const fn is_plain(&self) -> bool {
        self.plain && !self.hooks.any()
    }

    pub(crate) const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Whether this is a task or a flow.
    pub const fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// The name that runs carry: the function's, unless the attribute says `name = "…"`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where the function stands.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The attribute's `description`, else the doc comment; empty without one.
    pub const fn description(&self) -> &'static str {
        self.description
    }

    /// The attribute's tags, which every run carries.
    pub const fn tags(&self) -> &'static [&'static str] {
        self.tags
    }

    /// The attribute's `version`, which stands in the cache key in place of the code.
    pub const fn version(&self) -> Option<&'static str> {
        self.version
    }

    /// The names of the parameters that take inputs, in order; `#[resource]` ones are not among them.
    pub const fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    /// A digest of the function's code, without comments and layout, in hexadecimal.
    pub const fn fingerprint(&self) -> &'static str {
        self.fingerprint
    }

    /// How the results are cached, if they are.
    pub const fn cache(&self) -> Option<CachePolicy> {
        self.cache
    }

    /// The options that the attribute states.
    pub const fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// Hashes what it is called, whatever its code is.
    pub(crate) fn hash_name(&self, hasher: &mut KeyHasher) {
        hasher.section("package", self.place.package);
        hasher.section("module", self.place.module);
        hasher.section("task", self.name);
    }

    /// A key of what counts as its code beside that; none if nothing does, or it refuses to be hashed.
    pub(crate) fn includes_key(&self) -> Option<CacheKey> {
        let includes = self.includes?;
        let mut hasher = KeyHasher::new();
        includes(&mut hasher).ok()?;
        hasher.finish().ok()
    }

    /// Adds the task's identity and code to a key.
    ///
    /// # Errors
    /// When an included constant refuses to be serialized.
    pub(crate) fn hash_identity(&self, hasher: &mut KeyHasher) -> Result<(), KeyError> {
        self.hash_name(hasher);
        match self.version {
            Some(version) => hasher.section("version", version),
            None => hasher.section("fingerprint", self.fingerprint),
        }
        match self.includes {
            Some(includes) => includes(hasher),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_a_constant() {
        const DEFINITION: &Definition = &Definition::task(
            "extract",
            Place {
                package: "p",
                module: "p::m",
                file: "m.rs",
                line: 3,
            },
            TaskOptions::new().retries(2),
        )
        .with_tags(&["a"])
        .with_cache(CachePolicy::inputs_and_run());
        assert_eq!(DEFINITION.name(), "extract");
        assert_eq!(DEFINITION.tags(), ["a"]);
        assert!(DEFINITION.cache().is_some_and(|policy| policy.holds_run()));
    }
}
