// What the registers of a CMOS clock mean. MC146818A data sheet, "Address Map", "Time, Calendar, and Alarm Locations".

namespace Lamina.Root.Kernel;

/// <summary>The registers as read; decoding knows BCD and binary, 12 and 24 hours.</summary>
public readonly struct CmosTime(byte second, byte minute, byte hour, byte day, byte month, byte year, byte century, byte registerB)
{
    private const byte Binary = 0x04, TwentyFourHours = 0x02, Afternoon = 0x80;

    private readonly byte second = second, minute = minute, hour = hour, day = day, month = month, year = year, century = century, registerB = registerB;

    public bool Equals(CmosTime other) => second == other.second && minute == other.minute && hour == other.hour && day == other.day
        && month == other.month && year == other.year && century == other.century && registerB == other.registerB;

    /// <summary>Seconds since 1970-01-01; 0 if the registers hold no date.</summary>
    public long ToUnixSeconds()
    {
        int hours = Decode((byte)(hour & ~Afternoon));
        if ((registerB & TwentyFourHours) == 0) hours = hours % 12 + ((hour & Afternoon) != 0 ? 12 : 0);
        int inCentury = Decode(year), centuries = Decode(century);
        // Register 0x32 is a custom, not a rule: without a plausible one, years 70..99 are the last century's.
        int fullYear = centuries is 19 or 20 or 21 ? centuries * 100 + inCentury : inCentury + (inCentury < 70 ? 2000 : 1900);
        int months = Decode(month), days = Decode(day);
        if (months is < 1 or > 12 || days is < 1 or > 31 || hours > 23) return 0;
        return DaysSince1970(fullYear, months, days) * 86400L + hours * 3600 + Decode(minute) * 60 + Decode(second);
    }

    private int Decode(byte value) => (registerB & Binary) != 0 ? value : (value >> 4) * 10 + (value & 0xF);

    /// <summary>Counts years from March on, so that the leap day is a year's last.</summary>
    private static long DaysSince1970(int year, int month, int day)
    {
        int fromMarch = month > 2 ? month - 3 : month + 9;
        int shifted = month > 2 ? year : year - 1;
        long leapDays = shifted / 4 - shifted / 100 + shifted / 400;
        return shifted * 365L + leapDays + (153 * fromMarch + 2) / 5 + day - 1 - 719468;
    }
}
