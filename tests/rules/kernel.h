#pragma once

int kernel();
