// A board as one Verilated model. `edge` is what both machines, this and the halves, do alike: the
// rising edge that ends a cycle, and the falling one, with which gates of clocks open.

#pragma once
#include "verilated.h"

template <class Model>
struct Whole {
    VerilatedContext context;
    Model model{&context};

    void reset(bool value) { model.rst = value; }
    // The inputs that are set take effect.
    void settle() {
        model.drive ^= 1;
        model.eval();
    }
    // With `driven`, the inputs of the next cycle come with it.
    void rise(bool driven) {
        model.drive ^= driven;
        model.clk = 1;
        model.eval();
    }
    void fall() {
        model.clk = 0;
        model.eval();
    }
    void end() { model.final(); }
};
