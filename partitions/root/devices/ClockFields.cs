// Seconds since 1970 as date and time of the Gregorian calendar, and back; what a CMOS clock's registers hold.
namespace Lamina.Root.Devices;

internal struct ClockFields
{
    private const long SecondsPerDay = 86400;
    /// <summary>1970-01-01 was a Thursday: day 5 when Sunday is 1.</summary>
    private const int FirstDayOfWeek = 4;

    public int Second, Minute, Hour, DayOfWeek, Day, Month, Year, Century;

    /// <summary>Years from 0 to 9999; what lies outside is brought to the nearest.</summary>
    public static ClockFields FromUnix(long seconds)
    {
        const long first = -62167219200, last = 253402300799;
        if (seconds < first) seconds = first;
        if (seconds > last) seconds = last;
        long days = seconds / SecondsPerDay, rest = seconds % SecondsPerDay;
        if (rest < 0) { rest += SecondsPerDay; days--; }
        // Years that begin in March: the leap day comes last, and months follow a pattern of 153 days in five.
        long shifted = days + 719468; // days since 0000-03-01
        if (shifted < 0) shifted += 146097; // one era of 400 years up; the year is corrected below
        long era = shifted / 146097, dayOfEra = shifted % 146097;
        long yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
        long dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
        long marchMonth = (5 * dayOfYear + 2) / 153;
        int month = (int)(marchMonth < 10 ? marchMonth + 3 : marchMonth - 9);
        long year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0) - (days + 719468 < 0 ? 400 : 0);
        int weekday = (int)((days + FirstDayOfWeek) % 7);
        return new ClockFields
        {
            Second = (int)(rest % 60), Minute = (int)(rest / 60 % 60), Hour = (int)(rest / 3600),
            DayOfWeek = (weekday < 0 ? weekday + 7 : weekday) + 1,
            Day = (int)(dayOfYear - (153 * marchMonth + 2) / 5 + 1), Month = month, Year = (int)(year % 100), Century = (int)(year / 100),
        };
    }

    /// <summary>False when there is no such date or time.</summary>
    public readonly bool TryToUnix(out long seconds)
    {
        seconds = 0;
        if (Second is < 0 or > 59 || Minute is < 0 or > 59 || Hour is < 0 or > 23 || Month is < 1 or > 12 || Year is < 0 or > 99 || Century is < 0 or > 99) return false;
        int fullYear = Century * 100 + Year;
        if (Day < 1 || Day > DaysIn(Month, fullYear)) return false;
        long year = fullYear - (Month <= 2 ? 1 : 0), marchMonth = (Month + 9) % 12;
        if (year < 0) year += 400;
        long days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * marchMonth + 2) / 5 + Day - 1 - 719468;
        if (fullYear == 0 && Month <= 2) days -= 146097;
        seconds = days * SecondsPerDay + Hour * 3600 + Minute * 60 + Second;
        return true;
    }

    /// <summary>By number of the CMOS register.</summary>
    public readonly int Get(int register) => register switch
    {
        0 => Second, 2 => Minute, 4 => Hour, 6 => DayOfWeek, 7 => Day, 8 => Month, 9 => Year, _ => Century,
    };

    public void Set(int register, int value)
    {
        switch (register)
        {
            case 0: Second = value; break;
            case 2: Minute = value; break;
            case 4: Hour = value; break;
            case 6: DayOfWeek = value; break;
            case 7: Day = value; break;
            case 8: Month = value; break;
            case 9: Year = value; break;
            default: Century = value; break;
        }
    }

    private static int DaysIn(int month, int year) => month switch
    {
        2 => year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28,
        4 or 6 or 9 or 11 => 30,
        _ => 31,
    };
}
