// The two halves of halves.h around models of a few lines, on two threads and on one in turn: edge by
// edge, with settling between. Prints what a model of one piece would find, and what they find.

#include <cstdint>
#include <cstdio>
#include <type_traits>

#include "halves.h"

// A register each, and a path without one that crosses three times, as in test_halves.py.
struct Left {
    uint8_t clk = 0, rst = 0, drive = 0;
    uint32_t moves = 0, taken0 = 0, taken1 = 0, given0 = 0, result = 0;
    Left(VerilatedContext*) {}
    void eval() {
        if (clk && !was && now) state += result;
        was = clk;
        if (drive != driven) driven = drive, now = moves, q = taken0, w = taken1;
        given0 = state + q;
        result = w ^ state;
    }
    void final() {}

private:
    uint32_t state = 1, now = 0, q = 0, w = 0;
    uint8_t was = 0, driven = 0;
};

struct Right {
    uint8_t clk = 0, rst = 0, drive = 0;
    uint32_t moves = 0, taken0 = 0, given0 = 0, given1 = 0;
    Right(VerilatedContext*) {}
    void eval() {
        if (clk && !was && now) state += p;
        was = clk;
        if (drive != driven) driven = drive, now = moves, p = taken0;
        given0 = state ^ now;
        given1 = p + state;
    }
    void final() {}

private:
    uint32_t state = 2, now = 0, p = 0;
    uint8_t was = 0, driven = 0;
};

struct LeftWires {
    uint32_t w0;
    bool update(const Left& model) {
        const bool changed = w0 != model.given0;
        w0 = model.given0;
        return changed;
    }
    void drive(Right& model) const { model.taken0 = w0; }
};
struct RightWires {
    uint32_t w0, w1;
    bool update(const Right& model) {
        const bool changed = w0 != model.given0 || w1 != model.given1;
        w0 = model.given0, w1 = model.given1;
        return changed;
    }
    void drive(Left& model) const { model.taken0 = w0, model.taken1 = w1; }
};
using First = Half<Left, LeftWires>;
using Second = Half<Right, RightWires>;
void share(First& first, Second& second) { second.model.moves = first.model.moves; }

// The ways in turn: of so many edges the first on two threads.
template <unsigned EDGES, unsigned TOGETHER>
struct Turns {
    unsigned edge = 0;
    bool together() { return edge++ % EDGES < TOGETHER; }
    void restart() {}
};

template <class Pace>
uint32_t found() {
    Halves<First, Second, share, Pace> machine;
    uint32_t numbers = 1, sum = 0;
    machine.settle();
    for (int edge = 0; edge < 20000; ++edge) {
        numbers = numbers * 1664525 + 1013904223;
        machine.first.model.moves = numbers >> 30 ? numbers >> 8 : 0;
        if (edge % 7 == 3) machine.settle();
        machine.rise(true);
        machine.fall();
        sum = sum * 31 + machine.first.model.result;
    }
    machine.end();
    return sum;
}

int main() {
    std::printf("%u %u %u %u\n", found<Turns<1, 0>>(), found<Turns<1, 1>>(), found<Turns<2, 1>>(),
                found<Turns<5, 3>>());
}
