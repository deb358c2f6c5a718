//! Kill switches: noticed at once in every place, and moved with the organization.

use std::time::{Duration, Instant};

use tollgate::{
    gateway::issuer::Grant,
    postgres::{Place, places::Mover},
};

use super::{
    command::must,
    harness::{Ask, Client, House, Org, until},
    residence::{house, made},
    street::{connect, far},
};

/// Connections on which changes are listened for.
const LISTENERS: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'tollgate listen'
      and query like '%listen%'";
/// What is not heard of is asked for every five seconds: it takes longer than this mostly.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Two gateways, which listen in both databases.
async fn two() -> House {
    let mut house = house().await;
    house.start().await;
    for config in [&house.database, &house.setup.placements[0].1] {
        let client = connect(config).await;
        let heard = async || client.query_one(LISTENERS, &[]).await.unwrap().get::<_, i64>(0);
        until("both gateways listen", async || heard().await == 2).await;
    }
    house
}

/// A stream that has said something and hangs.
async fn open_stream(house: &House, gateway: usize, org: &Org) -> Client {
    let ask = Ask::chat().streamed().mock("output-tokens", 4).mock("hang", "body");
    let mut client = Client::open(house.gateways[gateway].address).await;
    client.send(&ask.bytes(&org.token)).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    client.read_to(b"walnut").await;
    client
}

async fn cut(mut client: Client) {
    let end = String::from_utf8(client.read_to(b"\r\n0\r\n\r\n").await).unwrap();
    assert!(end.contains("organization_suspended") && !end.contains("[DONE]"), "{end}");
}

async fn status(house: &House, gateway: usize, org: &Org) -> u16 {
    let mut client = Client::open(house.gateways[gateway].address).await;
    client.send(&Ask::chat().bytes(&org.token)).await;
    client.answer().await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_cuts_at_once_in_each_placement() {
    let house = two().await;
    let mut waited = Vec::new();
    for place in [Place::Row, Place::Schema, far()] {
        let org = made(&house, &place).await;
        let open = [open_stream(&house, 0, &org).await, open_stream(&house, 1, &org).await];
        must(&house, &["org", "suspend", &org.id.to_string(), "--reason", "a leak"]).await;
        let turned = Instant::now();
        for client in open {
            cut(client).await;
            waited.push(turned.elapsed());
        }
        for gateway in 0..2 {
            assert_eq!(status(&house, gateway, &org).await, 403);
        }
    }
    waited.sort();
    assert!(waited[waited.len() / 2] < AT_ONCE, "{waited:?}");
    house.check().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_move_with_their_organization() {
    let house = two().await;
    let org = made(&house, &Place::Row).await;
    let somebody = house.somebody(&Grant::new(org.id, "somebody"));
    let (id, mover) = (org.id.to_string(), Mover::new(house.places.clone()));
    let statuses = async |org: &Org| [status(&house, 0, org).await, status(&house, 1, org).await];
    let goes_on = async |org: &Org| {
        until("both gateways serve it", async || statuses(org).await == [200, 200]).await;
    };
    goes_on(&somebody).await;
    must(&house, &["org", "suspend", &id, "--user", "somebody", "--reason", "left us"]).await;
    assert_eq!(statuses(&somebody).await, [403, 403]);
    for to in [Place::Schema, far(), Place::Row] {
        must(&house, &["org", "suspend", &id, "--reason", "unpaid"]).await;
        mover.move_to(org.id, &to).await.unwrap();
        let shown = must(&house, &["org", "show", &id]).await;
        assert_eq!(
            (&shown["suspended"], &shown["suspended_reason"], &shown["kill_switches"][0]["reason"]),
            (&true.into(), &"unpaid".into(), &"left us".into()),
            "{to}: {shown}"
        );
        assert_eq!(statuses(&org).await, [403, 403], "{to}");
        must(&house, &["org", "resume", &id]).await;
        goes_on(&org).await;
        // Of the two switches, the person's is still on.
        assert_eq!(statuses(&somebody).await, [403, 403], "{to}");
        // Turned on where it is now: heard of by gateways that only know that it was elsewhere.
        let open = open_stream(&house, 1, &org).await;
        must(&house, &["org", "suspend", &id]).await;
        cut(open).await;
        must(&house, &["org", "resume", &id]).await;
    }
    assert_eq!(statuses(&somebody).await, [403, 403]);
    must(&house, &["org", "resume", &id, "--user", "somebody"]).await;
    assert_eq!(must(&house, &["org", "show", &id]).await["kill_switches"], serde_json::json!([]));
    goes_on(&somebody).await;
    house.check().await;
    house.close().await;
}
