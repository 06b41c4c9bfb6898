// Which of two ways is the quicker one now: another thread helps only where it has a core.

#pragma once
#include <chrono>

class Pace {
public:
    // Whether the next edge is to be taken on two threads.
    bool together() {
        if (--left % LOOK == 0) judge();
        return threads;
    }

    // Between plays a host thinks, which is nobody's time.
    void restart() {
        begun = Clock::now();
        left = TRIAL;
    }

private:
    using Clock = std::chrono::steady_clock;
    // Edges of a trial, and until the clock is looked at; trials until the other way is tried.
    static constexpr int TRIAL = 512, LOOK = 16, WHILE_QUICK = 64, WHILE_SLOW = 8;

    bool threads = false;
    int left = TRIAL;
    int trials = 1;
    Clock::time_point begun = Clock::now();
    Clock::duration alone{};  // The last trial without a second thread.

    void judge() {
        const Clock::duration took = Clock::now() - begun;
        if (threads && took > alone) {
            change(WHILE_SLOW);
        } else if (left == 0) {
            if (!threads) alone = took;
            if (--trials == 0)
                change(threads ? 1 : WHILE_QUICK);
            else
                restart();
        }
    }

    void change(int next_trials) {
        threads = !threads;
        trials = next_trials;
        restart();
    }
};
