//! The policies that users start from.

#[test]
fn t() {
    for y in [include_str!("policies/small.yaml"), include_str!("policies/full.yaml"), include_str!("policies/bench.yaml")] {
        match api::load(y) {
            Ok(s) => println!("{:#?} {:#?} {:#?} {:#?}", s.name, s.not_in_force, s.tiers, s.classify),
            Err(e) => { for f in e { println!("{f}"); } panic!() }
        }
    }
}
