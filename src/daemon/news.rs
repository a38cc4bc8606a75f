//! Changes in a running member that an operator should know, found by comparing its present state with the last one.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::expiry;
use super::notices::{
    ALARM_OVER, CERTIFICATE, CORRUPT, DAMAGED, DISK_FULL, DISK_ROOM, DIVERGED, NEARLY_FULL, Notice, PROMOTED,
    QUORUM_BACK, QUORUM_LOST, SPACE,
};
use crate::model::{Alarm, AlarmKind};

/// Interval of the warning about certificates.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// The state of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// It has no vote.
    pub learner: bool,
    /// There is a leader.
    pub led: bool,
    /// The alarms, in order.
    pub alarms: Vec<Alarm>,
    /// How much of the quota is used, in percent; `None` without a quota.
    pub full: Option<u64>,
    /// The store's disk is full.
    pub no_room: bool,
    /// Its state is not the leader's.
    pub differs: bool,
    /// Where the data of this member are damaged, if that is why they are not served.
    pub damage: Option<String>,
}

/// A message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its kind, by its id.
    pub id: &'static str,
    /// True if the change is for the better.
    pub good: bool,
    /// The line.
    pub text: String,
}

impl News {
    fn good(notice: &Notice, text: impl Into<String>) -> Self {
        Self { id: notice.id, good: true, text: text.into() }
    }

    fn bad(notice: &Notice, text: impl Into<String>) -> Self {
        Self { id: notice.id, good: false, text: text.into() }
    }

    /// Writes it to the log.
    pub fn tell(&self) {
        if self.good {
            tracing::info!(message_id = self.id, "{}", self.text);
        } else {
            tracing::warn!(message_id = self.id, "{}", self.text);
        }
    }
}

/// What has been seen and reported so far.
pub struct Observer {
    /// How long a member may be without a leader before it is reported: elections take some time.
    patience: Duration,
    seen: Option<View>,
    leaderless: Option<Instant>,
    told_lost: bool,
    told_full: bool,
}

impl Observer {
    /// Before the first comparison.
    pub fn new(patience: Duration) -> Self {
        Self { patience, seen: None, leaderless: None, told_lost: false, told_full: false }
    }

    /// The messages for changes since the last state. At the first call there is no earlier state, so only problems are
    /// reported.
    pub fn look(&mut self, view: View, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        let seen = self.seen.replace(view.clone());
        if seen.as_ref().is_some_and(|seen| seen.learner) && !view.learner && view.led {
            news.push(News::good(&PROMOTED, "this member was promoted: it votes"));
        }
        self.leader(view.led, now, &mut news);
        let had_no_room = seen.as_ref().is_some_and(|seen| seen.no_room);
        if view.no_room && !had_no_room {
            news.push(News::bad(
                &DISK_FULL,
                "the disk is full: reads are served, and what needs space is refused",
            ));
        } else if had_no_room && !view.no_room {
            news.push(News::good(&DISK_ROOM, "there is room on the disk again"));
        }
        if view.differs && !seen.as_ref().is_some_and(|seen| seen.differs) {
            news.push(match &view.damage {
                Some(damage) => News::bad(&DAMAGED, format!("the data of this member are damaged: {damage}")),
                None => News::bad(&DIVERGED, "the state of this member is not the others'"),
            });
        }
        let before = seen.map(|seen| seen.alarms).unwrap_or_default();
        alarms(&before, &view.alarms, &mut news);
        self.quota(view.full, &mut news);
        news
    }

    fn leader(&mut self, led: bool, now: Instant, news: &mut Vec<News>) {
        if led {
            self.leaderless = None;
            if std::mem::take(&mut self.told_lost) {
                news.push(News::good(&QUORUM_BACK, "there is a leader again"));
            }
            return;
        }
        let since = *self.leaderless.get_or_insert(now);
        if !self.told_lost && now.duration_since(since) >= self.patience {
            self.told_lost = true;
            let waited = now.duration_since(since).as_secs();
            news.push(News::bad(&QUORUM_LOST, format!("no leader for {waited} s: nothing can be written")));
        }
    }

    /// Warns at four fifths, and again only after the use was clearly lower.
    fn quota(&mut self, full: Option<u64>, news: &mut Vec<News>) {
        let full = full.unwrap_or_default();
        if full >= 80 && !self.told_full {
            self.told_full = true;
            news.push(News::bad(&NEARLY_FULL, format!("{full} % of quota-backend-bytes are taken")));
        }
        if full < 70 {
            self.told_full = false;
        }
    }
}

fn alarms(before: &[Alarm], now: &[Alarm], news: &mut Vec<News>) {
    for alarm in now.iter().filter(|alarm| !before.contains(alarm)) {
        let member = alarm.member;
        news.push(match alarm.kind {
            AlarmKind::NoSpace => {
                News::bad(&SPACE, format!("member {member} has no space left: writes are refused everywhere"))
            }
            AlarmKind::Corrupt => {
                News::bad(&CORRUPT, format!("the data of member {member} differ from the others'"))
            }
        });
    }
    for alarm in before.iter().filter(|alarm| !now.contains(alarm)) {
        let text = format!("the alarm {:?} of member {} is over", alarm.kind, alarm.member);
        news.push(News::good(&ALARM_OVER, text));
    }
}

/// The operator's certificates, checked once a day, and at once if they are others than before.
#[derive(Default)]
pub struct Expiry {
    ends: Vec<(PathBuf, i64)>,
    looked: Option<Instant>,
}

impl Expiry {
    /// Messages for certificates that expire soon, once a day. `ends` are files and the ends of their validity, `wall` is
    /// the time, both in seconds since the unix epoch.
    pub fn look(&mut self, ends: Vec<(PathBuf, i64)>, now: Instant, wall: i64) -> Vec<News> {
        let is_recent = self.looked.is_some_and(|looked| now.duration_since(looked) < AGAIN);
        if is_recent && self.ends == ends {
            return Vec::new();
        }
        self.ends = ends;
        self.looked = Some(now);
        let soon = self.ends.iter().filter_map(|(file, until)| expiry::warning(file, until - wall));
        soon.map(|text| News::bad(&CERTIFICATE, text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemberId;

    fn ids(news: &[News]) -> Vec<&'static str> {
        news.iter().map(|news| news.id).collect()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn elections_are_no_news_and_a_lost_quorum_is_told_once() {
        let start = Instant::now();
        let mut observer = Observer::new(Duration::from_secs(7));
        let led = View { led: true, ..View::default() };
        let lost = View::default();
        assert_eq!(observer.look(led.clone(), start), []);
        assert_eq!(observer.look(lost.clone(), after(start, 1)), []);
        assert_eq!(observer.look(led.clone(), after(start, 2)), []);
        assert_eq!(observer.look(lost.clone(), after(start, 10)), []);
        assert_eq!(ids(&observer.look(lost.clone(), after(start, 18))), [QUORUM_LOST.id]);
        assert_eq!(observer.look(lost, after(start, 60)), []);
        assert_eq!(ids(&observer.look(led.clone(), after(start, 61))), [QUORUM_BACK.id]);
        assert_eq!(observer.look(led, after(start, 62)), []);
    }

    #[test]
    fn a_learner_that_votes_was_promoted() {
        let start = Instant::now();
        let mut observer = Observer::new(Duration::from_secs(7));
        let learner = View { learner: true, led: true, ..View::default() };
        assert_eq!(observer.look(learner, start), []);
        let voter = View { led: true, ..View::default() };
        assert_eq!(ids(&observer.look(voter, start)), [PROMOTED.id]);
    }

    #[test]
    fn alarms_come_and_go_and_the_quota_fills() {
        let start = Instant::now();
        let mut observer = Observer::new(Duration::from_secs(7));
        let view = |alarms: &[Alarm], full| View {
            led: true,
            alarms: alarms.to_vec(),
            full: Some(full),
            ..View::default()
        };
        let alarm = Alarm { member: MemberId(7), kind: AlarmKind::NoSpace };
        assert_eq!(observer.look(view(&[], 79), start), []);
        assert_eq!(ids(&observer.look(view(&[], 80), start)), [NEARLY_FULL.id]);
        assert_eq!(ids(&observer.look(view(&[alarm], 100), start)), [SPACE.id]);
        assert_eq!(observer.look(view(&[alarm], 75), start), []);
        assert_eq!(ids(&observer.look(view(&[], 69), start)), [ALARM_OVER.id]);
        assert_eq!(ids(&observer.look(view(&[], 85), start)), [NEARLY_FULL.id]);
    }

    #[test]
    fn a_full_disk_comes_and_goes() {
        let mut observer = Observer::new(Duration::from_secs(7));
        let view = |no_room| View { led: true, no_room, ..View::default() };
        let mut look = |no_room| ids(&observer.look(view(no_room), Instant::now()));
        assert_eq!(look(true), [DISK_FULL.id]);
        assert!(look(true).is_empty());
        assert_eq!(look(false), [DISK_ROOM.id]);
        assert!(look(false).is_empty());
    }

    #[test]
    fn a_state_that_differs_is_told_once() {
        let mut observer = Observer::new(Duration::from_secs(7));
        let view = |differs| View { led: true, differs, ..View::default() };
        let mut look = |differs| ids(&observer.look(view(differs), Instant::now()));
        assert!(look(false).is_empty());
        assert_eq!(look(true), [DIVERGED.id]);
        assert!(look(true).is_empty() && look(false).is_empty());
        assert_eq!(look(true), [DIVERGED.id]);
        assert!(look(false).is_empty());
        let damage = Some("page 7".to_string());
        let told =
            observer.look(View { led: true, differs: true, damage, ..View::default() }, Instant::now());
        assert_eq!(ids(&told), [DAMAGED.id]);
        assert!(told[0].text.ends_with(": page 7"), "{}", told[0].text);
    }

    #[test]
    fn certificates_are_looked_at_once_a_day() {
        let start = Instant::now();
        let day = 24 * 3600;
        let mut certificates = Expiry::default();
        let ends: Vec<(PathBuf, i64)> = vec![
            ("/far".into(), 1000 + 31 * day),
            ("/near".into(), 1000 + 29 * day + 5),
            ("/past".into(), 999),
        ];
        let news = certificates.look(ends.clone(), start, 1000);
        let texts: Vec<&str> = news.iter().map(|news| news.text.as_str()).collect();
        assert_eq!(texts, ["the certificate /near expires in 29 days", "the certificate /past has expired"]);
        assert_eq!(certificates.look(ends.clone(), after(start, 3600), 1000), []);
        assert_eq!(certificates.look(ends.clone(), after(start, 24 * 3600), 1000).len(), 2);
        // A reload may name others, and files may be replaced.
        let soon = after(start, 24 * 3600 + 1);
        assert_eq!(certificates.look(ends[..1].to_vec(), soon, 1000), []);
        assert_eq!(certificates.look(ends[1..2].to_vec(), soon, 1000).len(), 1);
    }
}
