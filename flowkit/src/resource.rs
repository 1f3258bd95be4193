//! What a runtime lends to `#[resource]` parameters: one value of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Resources {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Resources {
    pub(crate) fn insert<R: Any + Send + Sync>(&mut self, value: R) {
        self.values.insert(TypeId::of::<R>(), Arc::new(value));
    }

    pub(crate) fn get<R: Any + Send + Sync>(&self) -> Option<Arc<R>> {
        self.values.get(&TypeId::of::<R>()).cloned()?.downcast().ok()
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Resources")
            .field("len", &self.values.len())
            .finish()
    }
}
