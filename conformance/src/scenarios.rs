//! What is asked of a store, one file a concern. A scenario is a public function of its module and
//! a name in the module's list; a test holds that none is missing there.
#![allow(missing_docs, reason = "the name of a scenario is the sentence that it shows to hold")]

pub mod appends;
pub mod artifacts;
pub mod chronicle;
pub mod counts;
pub mod fixtures;
pub mod four_eyes;
pub mod history;
pub mod jsonl;
pub mod lease;
pub mod lists;
pub mod look_ups;
pub mod ops;
pub mod past;
pub mod projector;
pub mod quarantine;
pub mod rebuild;
pub mod replay;
pub mod scan;
pub mod seals;
pub mod snapshots;
pub mod timeline;
pub mod together;

/// Runs every scenario on a store, each as a test of its own: `suite!(MyHarness);`.
#[macro_export]
macro_rules! suite {
    ($harness:ty) => {
        $crate::__chronicle!($harness);
        $crate::__appends!($harness);
        $crate::__jsonl!($harness);
        $crate::__projector!($harness);
        $crate::__quarantine!($harness);
        $crate::__replay!($harness);
        $crate::__four_eyes!($harness);
        $crate::__lease!($harness);
        $crate::__rebuild!($harness);
        $crate::__timeline!($harness);
        $crate::__together!($harness);
        $crate::__ops!($harness);
        $crate::__counts!($harness);
        $crate::__artifacts!($harness);
        $crate::__look_ups!($harness);
        $crate::__lists!($harness);
        $crate::__snapshots!($harness);
        $crate::__scan!($harness);
        $crate::__fixtures!($harness);
        $crate::__seals!($harness);
        $crate::__history!($harness);
        $crate::__past!($harness);
    };
}

/// Makes the tests of one module.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($harness:ty, $module:ident: $($scenario:ident,)+) => {
        mod $module {
            use super::*;

            $(#[test]
            fn $scenario() {
                $crate::run::<$harness, _, _>($crate::scenarios::$module::$scenario::<$harness>);
            })+
        }
    };
}

/// Lists the scenarios of a module.
macro_rules! scenarios {
    ($d:tt $list:ident = $module:ident: $($scenario:ident,)+) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $list {
            ($d harness:ty) => {
                $crate::__tests!($d harness, $module: $($scenario,)+);
            };
        }

        #[cfg(test)]
        #[test]
        fn every_scenario_is_in_the_list() {
            let source = include_str!(concat!(stringify!($module), ".rs"));
            let listed = [$(stringify!($scenario)),+];
            let functions = source.lines().filter_map(|line| {
                line.strip_prefix("pub async fn ")?.split_once("<H: Harness>").map(|(name, _)| name)
            });
            assert_eq!(functions.collect::<Vec<_>>(), listed);
        }
    };
}
pub(crate) use scenarios;
