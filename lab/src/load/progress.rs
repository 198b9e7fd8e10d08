use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::Recorder;

const EVERY: Duration = Duration::from_millis(250);

/// A line on the terminal that says how a run is going; nothing where standard error is no terminal.
pub struct Progress {
    bar: ProgressBar,
    task: JoinHandle<()>,
}

impl Progress {
    /// Shows what `recorder` has, until this is dropped.
    #[must_use]
    pub fn start(recorder: &Arc<Recorder>, lasting: Duration) -> Self {
        let length = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        // Hidden by itself where there is no terminal.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let (shown, recorder) = (bar.clone(), Arc::clone(recorder));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            let mut before = 0;
            while !shown.is_hidden() {
                ticks.tick().await;
                let (ended, failed, p99) = recorder.progress();
                shown
                    .set_position(u64::try_from(shown.elapsed().as_millis()).unwrap_or(u64::MAX).min(length));
                let rate = (ended - before) * 4;
                shown.set_message(format!(
                    "{ended} done  {rate}/s  p99 {p99:.1?}  {failed} without a verdict"
                ));
                before = ended;
            }
        });
        Self { bar, task }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
