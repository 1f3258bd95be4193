//! A hundred tasks, each with a type of its own for what it takes and gives: how much code a compiler is given for them is counted by `--bench counts`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "what a program has, and not an example of it"
)]

macro_rules! kinds {
    ($($kind:ident)*) => {
        $(mod $kind {
            use serde::{Deserialize, Serialize};

            #[derive(Clone, Serialize, Deserialize)]
            pub struct Row(pub u64);

            #[flowkit::task]
            pub async fn step(row: Row) -> Row {
                Row(row.0 + 1)
            }
        })*

        async fn steps() {
            $($kind::step($kind::Row(1)).await.unwrap();)*
        }
    };
}

kinds! {
    k00 k01 k02 k03 k04 k05 k06 k07 k08 k09 k10 k11 k12 k13 k14 k15 k16 k17 k18 k19 k20 k21 k22 k23 k24 k25
    k26 k27 k28 k29 k30 k31 k32 k33 k34 k35 k36 k37 k38 k39 k40 k41 k42 k43 k44 k45 k46 k47 k48 k49 k50 k51
    k52 k53 k54 k55 k56 k57 k58 k59 k60 k61 k62 k63 k64 k65 k66 k67 k68 k69 k70 k71 k72 k73 k74 k75 k76 k77
    k78 k79 k80 k81 k82 k83 k84 k85 k86 k87 k88 k89 k90 k91 k92 k93 k94 k95 k96 k97 k98 k99
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(steps());
}
